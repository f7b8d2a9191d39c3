import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { gpuCases, type GpuCase } from '#engine/bench-cases.ts'
import type { CaseReport } from '#engine/bench-gpu.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { benchCases, chosen } from '#main/cli/bench-gpu.ts'
import { runtime } from '#tests/support/differences.ts'
import { failingRuntime } from '#tests/support/failing-runtime.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const small: Recipe = { ...tiny, batchSize: 4, model: { ...tiny.model, embedDim: 32, depth: 2 } }
const sizes = { product: 64, copied: 4096, chains: 1000, rounds: 16 }
const one = (name: string, work: GpuCase['work'], more: Partial<Recipe> = {}, base: string | null = null): GpuCase => ({
  name,
  work,
  recipe: { ...small, ...more },
  peerMs: work === 'train' ? 1000 : null,
  base,
})

async function bench(cases: GpuCase[], { on = runtime, kernels = '' } = {}) {
  const lines: string[] = []
  let document: unknown
  const output = { line: (text: string) => void lines.push(text), answer: (answer: unknown) => void (document = answer) }
  const failure: unknown = await benchCases(output, on, { cases, sizes, withKernels: ({ name }) => name === kernels }).catch(
    (error: unknown) => error,
  )
  return { lines, failure, answer: document as { ceilings: Record<string, number>; cases: CaseReport[] } }
}

test('2^-x over and over comes to the one number that is its own, for every length of a tensor', async () => {
  for (const count of [1, 127, 128, 1000]) {
    const g = new GraphBuilder('f32')
    g.output('y', g.node('PowerChain', [g.input('x', [count])], { rounds: 200 }, [[[count], 'f32']])[0]!)
    const { y } = await evaluate(runtime, g, { x: Float32Array.from({ length: count }, (_, i) => Math.sin(i)) })
    expect(y!.length).toBe(count)
    expect(Math.max(...y!.map((x) => Math.abs(x - 0.6411857445)))).toBeLessThan(1e-6)
  }
})

test('each case is told with its time, its memory, its floor and the share of it; a batch in pieces costs its update once', async () => {
  const { answer, lines, failure } = await bench(
    [
      one('whole', 'train'),
      one('pieces', 'train', { microBatch: 2 }, 'whole'),
      one('identity', 'sample', { model: { ...small.model, scan: { kind: 'raster', count: 1 } } }, 'a case that was not measured'),
    ],
    { kernels: 'identity' },
  )
  expect(failure).toBeUndefined()
  for (const ceiling of ['copyGBps', 'productTflops', 'exponentialGps']) expect(answer.ceilings[ceiling]).toBeGreaterThan(0)
  const [whole, pieces, identity] = answer.cases as Extract<CaseReport, { error: null }>[]
  for (const report of [whole!, pieces!, identity!]) {
    expect(report.ms).toBeGreaterThan(0)
    expect(report.memoryBytes).toBeGreaterThan(0)
    expect(report.floor.ms).toBeGreaterThan(report.floor.leanMs)
    expect(report.share).toBeCloseTo(report.floor.ms / report.ms, 12)
    expect(report.tokensPerSecond).toBeCloseTo((1000 * 4 * 64) / report.ms, 6)
  }
  // What is added to all pictures alike has one gradient a piece, whose sum over the tokens is the bias of the patches: 64 tokens of 32 channels.
  expect(pieces!.floor.flops - whole!.floor.flops).toBe(2 * 64 * 32)
  expect(whole!.ratio).toBeCloseTo(1000 / whole!.ms, 12)
  expect(whole!.relative).toBeNull()
  expect(pieces!.relative).toEqual({ base: 'whole', ratio: pieces!.ms / whole!.ms })
  expect(identity).toMatchObject({ ratio: null, relative: null, forecastBytes: null })
  expect([whole!.kernels, pieces!.kernels]).toEqual([null, null])
  expect(identity!.kernels!.stepMs).toBe(identity!.ms)
  expect(identity!.kernels!.kernels.find(({ operation }) => operation === 'SelectiveScan')).toMatchObject({ count: 2, error: null })
  expect(lines.filter((line) => / SelectiveScan f32\[4,64,64\] /.test(line))).toHaveLength(1)
  expect(lines.filter((line) => /^(whole|pieces|identity)/.test(line))).toHaveLength(3)
})

test('memory foretold for a training step stands beside what it took', async () => {
  const { answer } = await bench([one('step', 'train', { batchSize: 8 })])
  const [{ forecastRatio }] = answer.cases as [Extract<CaseReport, { error: null }>]
  expect(Math.abs(forecastRatio! - 1)).toBeLessThan(0.1)
})

test('a case that fails is told in its place, the others go on, and the command says no at the end', async () => {
  const full = failingRuntime(runtime, ({ inputs }) =>
    inputs.get('images')?.[0] === 3 ? Object.assign(new Error('out of memory: 12 GiB wanted'), { code: 'OutOfMemory' }) : null,
  )
  const { answer, failure } = await bench([one('small', 'train'), one('large', 'train', { batchSize: 3 }), one('last', 'sample')], {
    on: full,
  })
  expect(answer.cases.map(({ name, error }) => [name, error])).toEqual([
    ['small', null],
    ['large', 'out of memory: 12 GiB wanted'],
    ['last', null],
  ])
  expect((failure as Error).message).toBe('1 of 3 configurations could not be measured.')
})

test('configurations have names of their own, name what they are held against before themselves, and are chosen by a pattern', () => {
  const cases = gpuCases()
  const names = cases.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  cases.forEach(({ base }, i) => expect(base === null || names.slice(0, i).includes(base)).toBe(true))
  const baseOf = (name: string) => cases.find((one) => one.name === name)!.base
  expect(baseOf('train 1024 x 32')).toBe('train 1024 x 32, identity order')
  expect(baseOf('train 1024 x 32, memory')).toBe('train 1024 x 32')
  expect(chosen(cases, '65536').map(({ name }) => name)).toEqual(['sample 65536 x 1', 'train 65536 x 1'])
  expect(chosen(cases, undefined)).toEqual(cases)
  expect(() => chosen(cases, 'no such')).toThrow(/^--only "no such" finds none of the configurations: train 1024 x 32, identity order · /)
  expect(() => chosen(cases, '(')).toThrow(/^--only must be a regular expression/)
})
