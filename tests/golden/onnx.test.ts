import { expect, test } from 'vitest'
import { addNormModulate, gateAdd, scanConv, selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { meanSquare } from '#engine/interpolant/loss.ts'
import { lower } from '#engine/lowering/lower.ts'
import { describeGraph } from '#engine/lowering/onnx/text.ts'
import { linear } from '#engine/nn/linear.ts'
import { trainStep } from '#engine/optim/train-step.ts'
import { smallNetwork, smallSpec } from '#tests/support/small-networks.ts'

const golden = (name: string) => `./onnx/${name}.txt`

test('a dense layer on tokens is one Gemm', async () => {
  const g = new GraphBuilder()
  g.output('y', linear(g, g.input('x', [2, 3, 4]), 'layer', 5))
  await expect(describeGraph(lower(g))).toMatchFileSnapshot(golden('dense'))
})

test('a train step of a dense layer has two more products, one norm and one update', async () => {
  const g = new GraphBuilder()
  trainStep(g, meanSquare(g, linear(g, g.silu(linear(g, g.input('x', [4, 3]), 'first', 5)), 'second', 2), g.input('y', [4, 2])))
  await expect(describeGraph(lower(g))).toMatchFileSnapshot(golden('train-step'))
})

function scanGraph(): GraphBuilder {
  const g = new GraphBuilder()
  const tokens = (name: string) => g.input(name, [1, 4, 2])
  const permutation = g.ints([0, 1, 3, 2], [4])
  const u = scanConv(g, tokens('x'), permutation, g.parameter('weight', [2, 4]), g.parameter('bias', [2]))
  const states = (name: string) => g.input(name, [1, 4, 3])
  const A = g.parameter('A', [2, 3])
  const y = selectiveScan(
    g,
    { u, delta: tokens('delta'), A, B: states('B'), C: states('C'), D: null, z: tokens('z'), deltaBias: null, permutation },
    { segment: 2 },
  )
  g.output('y', gateAdd(g, tokens('n'), g.input('gate', [1, 2]), y))
  return g
}

test('fused operations are one node each in native form, and no output that nobody reads is asked for', async () => {
  await expect(describeGraph(lower(scanGraph()))).toMatchFileSnapshot(golden('scan-native'))
})

test('a gate in front of a norm is two more inputs of it', async () => {
  const g = new GraphBuilder()
  const tokens = (name: string) => g.input(name, [1, 4, 2])
  const h = gateAdd(g, tokens('n'), g.input('gate', [1, 2]), tokens('y'))
  const { modulated, residual } = addNormModulate(
    g,
    { h, residual: tokens('before'), weight: g.parameter('weight', [2]) },
    { norm: 'rms', epsilon: 1e-5 },
  )
  g.output('modulated', modulated)
  g.output('residual', residual)
  await expect(describeGraph(lower(g))).toMatchFileSnapshot(golden('gated-norm'))
})

test('in portable form they are operations of ONNX alone', async () => {
  const graph = lower(scanGraph(), 'portable')
  expect(graph.nodes.filter(({ domain }) => domain !== '')).toEqual([])
  await expect(describeGraph(graph)).toMatchFileSnapshot(golden('scan-portable'))
})

test('a network is emitted the same at every time', () => {
  const emit = () => {
    const { g, velocity } = smallNetwork(smallSpec(), 'f32')
    g.output('velocity', velocity)
    return describeGraph(lower(g))
  }
  expect(emit()).toBe(emit())
})

test('the train step has no portable form, and the message says what has', () => {
  const g = new GraphBuilder()
  trainStep(g, meanSquare(g, linear(g, g.input('x', [4, 3]), 'layer', 5), g.input('y', [4, 5])))
  expect(() => lower(g, 'portable')).toThrow(/operation AdamW has no portable form|operation GlobalNorm has no portable form/)
})
