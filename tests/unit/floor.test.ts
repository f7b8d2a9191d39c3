import { describe, expect, test } from 'vitest'
import { gradientRules } from '#engine/autodiff/rules.ts'
import { countedNodes, floorOf, workOf } from '#engine/floor.ts'
import { addNormModulate, attention, scanConv, selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Node, Shape, Value } from '#engine/graph/value.ts'
import { trainStep } from '#engine/optim/train-step.ts'

/** 1 GB, 1 TFLOP and 1 G exponentials a second: a million bytes, 10^9 operations and a million exponentials take one millisecond each. */
const ceilings = { copyGBps: 1, productTflops: 1, exponentialGps: 1 }
const graph = (compute: 'f32' | 'bf16' = 'bf16') => new GraphBuilder('f32', { compute, scanChunk: 16 })
const input = (g: GraphBuilder, name: string, ...shape: number[]) => g.input(name, shape, g.compute)

function scanInputs(g: GraphBuilder, [b, l, e, n]: [number, number, number, number]): Value {
  const tokens = [b, l, e] as const
  const [u, delta, z] = ['u', 'delta', 'z'].map((name) => input(g, name, ...tokens)) as [Value, Value, Value]
  const [B, C] = ['B', 'C'].map((name) => input(g, name, b, l, n)) as [Value, Value]
  const [D, deltaBias] = ['D', 'deltaBias'].map((name) => g.input(name, [e])) as [Value, Value]
  return selectiveScan(g, { u, delta, A: g.input('A', [e, n]), B, C, D, z, deltaBias, permutation: g.ints([...Array(l).keys()], [l]) })
}

describe('what an operation cannot do without', () => {
  test('a product of 4 x 8 and 8 x 16 in bfloat16 is 1024 operations and 448 bytes, transposed or not', () => {
    const g = graph()
    const plain = g.gemm(input(g, 'a', 4, 8), input(g, 'b', 8, 16))
    const turned = g.gemm(input(g, 'at', 8, 4), input(g, 'bt', 16, 8), { transA: true, transB: true })
    for (const { node } of [plain, turned])
      expect(workOf(node!)).toEqual({ flops: 2 * 4 * 8 * 16, bytes: 2 * (32 + 128 + 64), specials: 0 })
  })

  test('a sum that broadcasts reads the small operand once; a square reads its operand once', () => {
    const g = graph()
    expect(workOf(g.add(g.input('a', [10, 6]), g.input('b', [6])).node!).bytes).toBe(4 * (60 + 6 + 60))
    expect(workOf(g.square(g.input('c', [10])).node!).bytes).toBe(4 * (10 + 10))
  })

  test('a slice reads what it shows, and three rows of a table are three rows', () => {
    const g = graph()
    expect(workOf(g.slice(g.input('x', [10, 100]), 0, 2, 3).node!).bytes).toBe(4 * (100 + 100))
    expect(workOf(g.gather(g.input('table', [1000, 8]), g.input('rows', [3], 'i32')).node!).bytes).toBe(4 * (24 + 3 + 24))
  })

  test('attention of 2 heads of 32 on 5 queries and 7 keys: two products, one power a score', () => {
    const g = graph()
    const y = attention(g, input(g, 'q', 3, 5, 64), input(g, 'k', 3, 7, 64), input(g, 'v', 3, 7, 64), { heads: 2, scale: 1 })
    const work = workOf(y.node!, (output) => output === 0)
    expect(work.flops).toBe(2 * (2 * 5 * 7 * 64) * 3)
    expect(work.specials).toBe(3 * 2 * 5 * 7)
    expect(work.bytes).toBe(2 * 3 * 64 * (5 + 7 + 7 + 5))
  })

  test('a scan of 16 states takes 20 special functions a position and channel, its gradient 39', () => {
    const g = graph()
    const { node } = scanInputs(g, [2, 32, 8, 16])
    expect(workOf(node!).specials).toBe(20 * 2 * 32 * 8)
    const gradients = gradientRules.SelectiveScan!(g, node!, [input(g, 'dy', 2, 32, 8)])
    expect(workOf(gradients[0]!.node!).specials).toBe(39 * 2 * 32 * 8)
  })

  test('a scan that is given its steps takes 18, its gradient 35; steps take one power each and a product', () => {
    const g = graph()
    const { node } = scanInputs(g, [2, 32, 8, 16])
    const given = (one: Node) => workOf({ ...one, attributes: { ...one.attributes, stepsGiven: 1 } }).specials
    expect(given(node!)).toBe(18 * 2 * 32 * 8)
    const gradients = gradientRules.SelectiveScan!(g, node!, [input(g, 'dy', 2, 32, 8)])
    expect(given(gradients[0]!.node!)).toBe(35 * 2 * 32 * 8)
    const steps: Shape = [2, 32, 8]
    const product = g.node('TimeSteps', [input(g, 'low', 2, 32, 3), input(g, 'weight', 8, 3), null], { softplus: 1, rank: 3 }, [[steps, 'bf16']])[0]!
    expect(workOf(product.node!)).toMatchObject({
      specials: 2 * 32 * 8,
      flops: 2 * (2 * 32 * 8) * 3,
      bytes: 2 * (2 * 32 * 3 + 8 * 3 + 2 * 32 * 8),
    })
  })

  test('what a scan keeps for its gradient is written only where a gradient reads it', () => {
    const tokens = 2 * (2 * 32 * 8)
    const drawn = graph()
    drawn.output('y', scanInputs(drawn, [2, 32, 8, 16]))
    const [alone] = countedNodes(drawn)
    const small = 4 * (8 * 16 + 8 + 8 + 32) + 2 * 2 * (2 * 32 * 16)
    expect(alone!.work.bytes).toBe(4 * tokens + small)

    const trained = graph()
    const { node } = scanInputs(trained, [2, 32, 8, 16])
    trained.output('y', node!.outputs[0]!)
    trained.output('borders', node!.outputs[1]!)
    expect(countedNodes(trained)[0]!.work.bytes).toBe(4 * tokens + small + 2 * (2 * 2 * 16 * 8))
  })

  test('a convolution has one sigmoid an element; a norm has none that counts', () => {
    const g = graph()
    const order = g.ints([1, 0, 2], [3])
    expect(workOf(scanConv(g, input(g, 'x', 2, 3, 4), order, g.input('w', [4, 4]), g.input('b', [4])).node!).specials).toBe(2 * 24)
    expect(workOf(addNormModulate(g, { h: input(g, 'h', 2, 3, 4) }, { norm: 'rms', epsilon: 1e-5 }).modulated.node!).specials).toBe(0)
  })
})

describe('the floor of a graph', () => {
  test('is the sum of the scarcest of each operation', () => {
    const g = graph('f32')
    const y = g.gemm(g.input('a', [100, 1000]), g.input('b', [1000, 100])) // 0.02 ms of products, 0.84 ms of bytes
    g.output('y', g.exp(y)) // 0.08 ms of bytes, 0.01 ms of exponentials
    const floor = floorOf(g, ceilings)
    expect(floor).toMatchObject({ flops: 2e7, bytes: 840_000 + 80_000, specials: 10_000 })
    expect(floor.ms).toBeCloseTo(0.84 + 0.08, 12)
    expect(floorOf(g, { ...ceilings, productTflops: 0.001 }).ms).toBeCloseTo(20 + 0.08, 12)
    expect(floorOf(g, { ...ceilings, exponentialGps: 0.01 }).ms).toBeCloseTo(0.84 + 1, 12)
  })

  test('views, what depends on constants alone and what no output needs cost nothing', () => {
    const g = graph('f32')
    const table = g.exp(g.floats(Array(50).fill(1), [50]))
    const x = g.reshape(g.input('x', [5, 10]), [50])
    g.exp(x)
    g.output('y', g.reshape(g.add(x, table), [10, 5]))
    expect(countedNodes(g).map(({ node }) => node.op)).toEqual(['Add'])
    expect(floorOf(g, ceilings).bytes).toBe(4 * 150)
  })

  test('of nothing but products and weights: a network of 200 numbers reads them and updates four copies of each', () => {
    const g = graph('f32')
    const y = g.gemm(g.input('x', [3, 10]), g.parameter('w', [10, 20]))
    trainStep(g, g.mean(g.square(y), [0, 1]))
    const update = 4 * 200 * (5 + 4) + 4 * (8 + 1 + 1) // weight, gradient, moments and average; all but the gradient written; three inputs for all
    const floor = floorOf(g, ceilings)
    expect(floor.flops).toBe(2 * 2 * 3 * 10 * 20)
    expect(floor.leanMs).toBeCloseTo((4 * 200 + update) / 1e6, 12)
    expect(floor.leanMs).toBeLessThan(floor.ms)
  })
})
