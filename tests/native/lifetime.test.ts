import { expect, test } from 'vitest'
import { openRuntime } from '#native-ops/load.ts'
import { additionModel } from '#tests/support/small-models.ts'
import { squares, values } from '#tests/support/squares.ts'

const runtime = openRuntime({ threads: 1 })
const disposed: unknown = expect.objectContaining({ code: 'Disposed' })

test('dispose twice is harmless and use after it throws a sentence', async () => {
  const session = await runtime.createSession(additionModel(2))
  const binding = session.createBinding()
  const arena = runtime.createArena(64)
  const tensor = arena.tensor(0, 'f32', [2, 2])
  for (const object of [binding, session, tensor, arena]) {
    object.dispose()
    object.dispose()
    object[Symbol.dispose]()
  }
  expect(() => arena.tensor(0, 'f32', [1])).toThrow('This Arena was disposed.')
  expect(() => arena.sizeBytes).toThrow(disposed)
  expect(() => tensor.read()).toThrow(disposed)
  expect(() => tensor.shape).toThrow(disposed)
  expect(() => session.createBinding()).toThrow(disposed)
  expect(() => session.inputs).toThrow(disposed)
  expect(() => {
    binding.bindOutput('sum', tensor)
  }).toThrow(disposed)
  await expect(binding.run()).rejects.toEqual(disposed)
})

test('`using` disposes at the end of the block', () => {
  let kept
  {
    using arena = runtime.createArena(64)
    kept = arena
  }
  expect(() => kept.sizeBytes).toThrow(disposed)
})

test('a disposed tensor cannot be bound', async () => {
  using session = await runtime.createSession(additionModel(2))
  const [a] = squares(runtime, 2, 1)
  a.dispose()
  expect(() => {
    session.createBinding().bindInput('a', a)
  }).toThrow(disposed)
})

test('a fresh arena is zero and aligned writes come back', () => {
  using arena = runtime.createArena(1000)
  expect(arena.read(0, 1000).every((byte) => byte === 0)).toBe(true)
  arena.write(990, new Uint8Array([1, 2, 3]))
  expect([...arena.read(989, 5)]).toEqual([0, 1, 2, 3, 0])
})

test('what is read is a copy', () => {
  const [a] = squares(runtime, 2, 1)
  const before = a.read()
  a.write(new Float32Array([1, 2, 3, 4]))
  expect(before.every((byte) => byte === 0)).toBe(true)
  before.fill(255)
  expect(values(a)).toEqual([1, 2, 3, 4])
})

async function oneSessionAndRun(model: Uint8Array): Promise<void> {
  using session = await runtime.createSession(model)
  using arena = runtime.createArena(1 << 20)
  using binding = session.createBinding()
  using tensor = arena.tensor(0, 'f32', [64, 64])
  binding.bindInput('a', tensor)
  binding.bindInput('b', tensor)
  binding.bindOutput('sum', tensor)
  await binding.run()
}

test('two thousand sessions and runs leave no memory behind', { timeout: 120_000 }, async () => {
  const model = additionModel(64)
  const repeat = async (count: number) => {
    for (let i = 0; i < count; i++) await oneSessionAndRun(model)
    return process.memoryUsage.rss()
  }
  const before = await repeat(500)
  const after = await repeat(2000)
  const grownMiB = (after - before) / 2 ** 20
  expect(grownMiB, 'one leaked megabyte a session would be 2000 MiB').toBeLessThan(16)
})

test('twenty thousand runs of one binding leave no memory behind', { timeout: 120_000 }, async () => {
  const session = await runtime.createSession(additionModel(8))
  const [a] = squares(runtime, 8, 1)
  const binding = session.createBinding()
  binding.bindInput('a', a)
  binding.bindInput('b', a)
  binding.bindOutput('sum', a)
  const repeat = async (count: number) => {
    for (let i = 0; i < count; i++) await binding.run()
    return process.memoryUsage.rss()
  }
  const before = await repeat(5000)
  expect(((await repeat(20_000)) - before) / 2 ** 20).toBeLessThan(16)
})

test('arenas that are forgotten are collected in time', { timeout: 120_000 }, async () => {
  // 200 arenas of 32 MiB, each filled: 6.4 GiB if none were given back.
  const bytes = new Uint8Array(32 << 20).fill(1)
  let most = 0
  for (let i = 0; i < 200; i++) {
    runtime.createArena(bytes.length).write(0, bytes)
    most = Math.max(most, process.memoryUsage.rss())
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  expect(most / 2 ** 20).toBeLessThan(2500)
})
