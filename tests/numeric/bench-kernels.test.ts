import { describe, expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { partsOf } from '#engine/bench-gpu.ts'
import { kernelGroups, measureKernels, rowOf } from '#engine/bench-kernels.ts'
import { countedNodes } from '#engine/floor.ts'
import { selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Graph, Node } from '#engine/graph/value.ts'
import { legalInput } from '#engine/legal-inputs.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const small: Recipe = { ...tiny, batchSize: 2, model: { ...tiny.model, embedDim: 32, depth: 2, scan: { kind: 'zigzag', count: 2 } } }
const ceilings = { copyGBps: 10, productTflops: 0.1, exponentialGps: 1 }
const once = (graph: Graph) => [{ graph, runs: 1 }]

describe('operations of a kind', () => {
  test('three products of one shape are one kind, another shape, a square and what nobody needs are not', () => {
    const g = new GraphBuilder('f32')
    const [x, w] = [g.input('x', [4, 4]), g.input('w', [4, 4])]
    let y = x
    for (let i = 0; i < 3; i++) y = g.gemm(y, w)
    g.gemm(y, w)
    g.output('y', y)
    g.output('narrow', g.gemm(y, g.input('v', [4, 1])))
    g.output('square', g.gemm(y, y))
    g.output('product', g.mul(x, w))
    g.output('power', g.square(w))
    const counts = kernelGroups(once(g)).map(({ node, count }) => [node.op, count])
    expect(counts).toEqual([['Gemm', 3], ['Gemm', 1], ['Gemm', 1], ['Mul', 1], ['Mul', 1]]) // prettier-ignore
  })

  test('what runs twice a step counts twice, and the kinds of a training step add up to all its operations', () => {
    const parts = partsOf({ work: 'train', recipe: { ...small, microBatch: 1 } }, {})
    expect(parts.map(({ runs }) => runs)).toEqual([2, 1])
    const all = parts.reduce((sum, { graph, runs }) => sum + runs * countedNodes(graph).length, 0)
    const groups = kernelGroups(parts)
    expect(groups.reduce((sum, { count }) => sum + count, 0)).toBe(all)
    const of = (op: string) => groups.filter(({ node }) => node.op === op).map(({ count }) => count)
    expect(of('SelectiveScanGrad')).toEqual([2 * 2]) // two layers in two orders: one kind
    expect(of('AdamW')).toEqual([1])
  })

  test('a row of three exponentials computes what one does, and keeps all three', async () => {
    const g = new GraphBuilder('f32')
    g.output('y', g.exp(g.input('x', [2])))
    const places = new Map<string, number>()
    const row = rowOf(kernelGroups(once(g))[0]!, 3, places)
    expect(row.nodes.map(({ op }) => op)).toEqual(['Exp', 'After', 'Exp', 'After', 'Exp'])
    expect(places).toEqual(new Map([['x0', 0]]))
    const { y0 } = await evaluate(runtime, row, { x0: Float32Array.of(0, 1) })
    expect([...y0!]).toEqual([1, Math.fround(Math.E)])
  })
})

test('what goes in is legal: decays are negative, steps positive, an order names each token once, indices are rows of their table', () => {
  const g = new GraphBuilder('f32')
  const tokens = (name: string) => g.input(name, [1, 6, 4])
  const [B, C] = [g.input('B', [1, 6, 2]), g.input('C', [1, 6, 2])]
  const order = g.input('order', [6], 'i32')
  const given = {
    u: tokens('u'),
    delta: tokens('delta'),
    A: g.input('A', [4, 2]),
    B,
    C,
    D: null,
    z: null,
    deltaBias: null,
    permutation: order,
  }
  const { node: scan } = selectiveScan(g, given, { deltaSoftplus: false })
  const floats = (node: Node, place: number) => new Float32Array(new Uint8Array(legalInput(node, place) as Uint8Array).buffer)
  expect(Math.min(...floats(scan!, 1))).toBeGreaterThan(0)
  expect(Math.max(...floats(scan!, 2))).toBeLessThan(0)
  expect([...(legalInput(scan!, 8) as Int32Array)].sort()).toEqual([0, 1, 2, 3, 4, 5])
  const { node: gather } = g.gather(g.input('table', [3, 4]), g.input('rows', [10], 'i32'))
  expect(new Set(legalInput(gather!, 1) as Int32Array)).toEqual(new Set([0, 1, 2]))
})

/** Its scans read B and C as columns of wider rows, for the rank of its step size is a multiple of its states. */
const inColumns: Recipe = { ...small, model: { ...small.model, stateDim: 1 } }

test.each([
  ['train', small],
  ['train', inColumns],
  ['sample', small],
  ['sample', inColumns],
] as const)('every kind of operation of a small model has a time: %s', async (work, recipe) => {
  const parts = partsOf({ work, recipe }, {})
  const { kernels, overheadMs, sumMs, stepMs, restMs } = await measureKernels(runtime, parts, { ceilings, stepMs: 5 })
  expect(kernels.filter(({ error }) => error !== null)).toEqual([])
  const scans = kernelGroups(parts).filter(({ node: { op } }) => op.startsWith('SelectiveScan'))
  for (const { node } of scans) expect('bColumn' in node.attributes, node.op).toBe(recipe === inColumns)
  expect(overheadMs).toBeGreaterThan(0)
  for (const { ms, totalMs, count, floorMs, share } of kernels) {
    expect(ms).toBeGreaterThan(0)
    expect(totalMs).toBeCloseTo(count * ms!, 12)
    expect(share).toBeCloseTo(floorMs / ms!, 12)
  }
  const totals = kernels.map(({ totalMs }) => totalMs!)
  expect(totals).toEqual(totals.toSorted((a, b) => b - a))
  expect(sumMs).toBeCloseTo(totals.reduce((sum, ms) => sum + ms, 0), 9) // prettier-ignore
  expect(restMs).toBeCloseTo(stepMs - sumMs, 9)
  if (work === 'sample') return
  for (const op of ['AdamW', 'GlobalNorm', 'Philox', 'AttentionGrad', 'ScatterAdd'])
    expect(kernels.map(({ operation }) => operation)).toContain(op)
})
