import { expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { engineMethods, type EngineEvents, type EngineServices } from '#contracts/engine.ts'
import type { Method } from '#contracts/rpc.ts'
import { studioMethods, type StudioEvents, type StudioServices } from '#contracts/studio.ts'

/** What may cross a process: never for anything that would be lost or changed on the way. */
type Wire<T> = T extends null | boolean | number | string | Uint8Array
  ? T
  : T extends (...args: never[]) => unknown
    ? never
    : T extends readonly (infer Item)[]
      ? readonly Wire<Item>[]
      : T extends Date | Map<unknown, unknown> | Set<unknown> | Promise<unknown> | bigint | symbol
        ? never
        : T extends object
          ? { [K in keyof T]: Wire<Exclude<T[K], undefined>> | Extract<T[K], undefined> }
          : unknown extends T
            ? unknown
            : never
type Requests<S> = { [K in keyof S]: S[K] extends (request: infer R, ...rest: never[]) => unknown ? R : never }
type Replies<S> = { [K in keyof S]: S[K] extends (...args: never[]) => Promise<infer R> ? R : never }

test('every request, reply and news is made of what a wire can carry', () => {
  expectTypeOf<Requests<StudioServices>>().toExtend<Wire<Requests<StudioServices>>>()
  expectTypeOf<Replies<StudioServices>>().toExtend<Wire<Replies<StudioServices>>>()
  expectTypeOf<StudioEvents>().toExtend<Wire<StudioEvents>>()
  expectTypeOf<Requests<EngineServices>>().toExtend<Wire<Requests<EngineServices>>>()
  expectTypeOf<Replies<EngineServices>>().toExtend<Wire<Replies<EngineServices>>>()
  expectTypeOf<EngineEvents>().toExtend<Wire<EngineEvents>>()
  expectTypeOf<{ when: Date }>().not.toExtend<Wire<{ when: Date }>>()
  expectTypeOf<{ done: () => void }>().not.toExtend<Wire<{ done: () => void }>>()
})

const methods: [string, Method][] = [...Object.entries(studioMethods), ...Object.entries(engineMethods)]

test.each(methods)('%s can be written down as JSON Schema, so any program can call it', (_name, { request, reply }) => {
  for (const schema of [request, reply]) expect(() => z.toJSONSchema(schema, { io: 'input' })).not.toThrow()
})

test.each(methods)('%s accepts neither nonsense nor a path where an id belongs', (_name, { request }) => {
  for (const nonsense of [undefined, 'x', 7, []]) expect(request.safeParse(nonsense).success).toBe(false)
  const shape: unknown = request instanceof z.ZodObject ? request.shape : {}
  for (const key of Object.keys(shape as object).filter((one) => /^(id|runId)$/.test(one))) {
    for (const path of ['../x', '/etc/passwd', 'C:\\x', 'a/b', '', 'A'.repeat(100)]) {
      const issues = request.safeParse({ [key]: path }).error?.issues.map((issue) => issue.path[0])
      expect(issues).toContain(key)
    }
  }
})
