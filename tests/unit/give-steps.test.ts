import { describe, expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import { countedNodes } from '#engine/floor.ts'
import { selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType, Node, Value } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { project } from '#engine/nn/linear.ts'
import { presets } from '#engine/presets.ts'
import { trainGraph } from '#engine/training/train-graph.ts'

const states = 2
const nodesOf = (g: GraphBuilder): Node[] => loweredNodes(g, 'native').nodes
const opsOf = (g: GraphBuilder) => nodesOf(g).map(({ op }) => op)

interface Sizes {
  length?: number
  dim?: number
  rank?: number
}

/** Time steps that are a product, and scans of them. */
function product(compute: DType, { length = 5, dim = 32, rank = 8 }: Sizes = {}) {
  const g = new GraphBuilder('f32', { compute })
  const tokens = (name: string, width: number) => g.input(name, [2, length, width], compute)
  const delta = project(g, tokens('low', rank), g.input('weight', [dim, rank], compute))
  const operands = {
    u: tokens('u', dim),
    A: g.parameter('A', [dim, states]),
    B: tokens('B', states),
    C: tokens('C', states),
    z: tokens('z', dim),
  }
  const scan = (deltaBias: Value | null) => selectiveScan(g, { ...operands, delta, D: null, deltaBias, permutation: null })
  return { g, delta, scan, bias: g.parameter('bias', [dim]) }
}

/** The lowered graph of a scan's result, and of the gradient of `A` where it is trained. */
function lowered(compute: DType, { trained = false, ...sizes }: Sizes & { trained?: boolean } = {}): Node[] {
  const { g, scan, bias } = product(compute, sizes)
  const y = scan(bias)
  if (trained) g.output('dA', backward(g, g.sum(g.cast(y, 'f32'), [0, 1, 2]), [g.parameters.get('A')!])[0]!)
  else g.output('y', y)
  return nodesOf(g)
}

const named = (nodes: readonly Node[], op: string): Node => nodes.find((node) => node.op === op)!

describe('time steps that are a product', () => {
  test('are made by the one scan that reads them, of what the product was of, where they are few', () => {
    const { g, scan, bias } = product('bf16', { dim: 8, rank: 3 })
    g.output('y', scan(bias))
    const [counted, ...others] = countedNodes(g)
    expect(others).toEqual([])
    expect(counted!.node.inputs[1]).toBe(g.inputs.get('low'))
    expect(counted!.node.inputs[9]).toBe(g.inputs.get('weight'))
    // C times two states, and the product with three columns, of each of 2 x 5 x 8 numbers.
    expect(counted!.work.flops).toBe(2 * 80 * (states + 3))
  })

  test('are made apart with bias and softplus where they are many, and given to the scan', () => {
    expect(lowered('bf16', { length: 24 * 1024 }).map(({ op }) => op)).toEqual(['SelectiveScan'])
    const [steps, scan, ...others] = lowered('bf16', { length: 24 * 1024 + 1 })
    expect(others).toEqual([])
    expect(steps).toMatchObject({ op: 'TimeSteps', attributes: { softplus: 1, rank: 8 } })
    expect(steps!.inputs.map((input) => input!.shape)).toEqual([[2, 24 * 1024 + 1, 8], [32, 8], [32]])
    expect(scan!.attributes.stepsGiven).toBe(1)
    expect(scan!.inputs[1]).toBe(steps!.outputs[0])
  })

  test.for([
    ['alone', (g: GraphBuilder, weight: Value) => g.gemm(weight, g.diagonal(8, 24))],
    [
      'among others',
      (g: GraphBuilder, weight: Value) => g.split(g.gemm(g.concat([weight, weight], 0), g.diagonal(8, 24)), 0, [32, 32])[1]!,
    ],
  ] as const)('are of the rank that a weight had before it was widened with zeros, %s', ([, widened]) => {
    for (const length of [5, 24 * 1024 + 1]) {
      const g = new GraphBuilder('f32', { compute: 'bf16' })
      const tokens = (name: string, width: number) => g.input(name, [2, length, width], 'bf16')
      const operands = { u: tokens('u', 32), A: g.parameter('A', [32, states]), B: tokens('B', states), C: tokens('C', states) }
      const delta = project(g, tokens('low', 24), widened(g, g.input('weight', [32, 8], 'bf16')))
      g.output('y', selectiveScan(g, { ...operands, delta, D: null, z: null, deltaBias: null, permutation: null }))
      const counted = countedNodes(g).filter(({ node }) => node.attributes.rank !== undefined)
      expect(counted.map(({ node }) => [node.op, node.attributes.rank])).toEqual([[length === 5 ? 'SelectiveScan' : 'TimeSteps', 8]])
      expect(counted[0]!.work.flops).toBe(2 * (2 * length * 32) * (8 + (length === 5 ? states : 0)))
    }
  })

  test('are made apart in training, for the scan and its gradient', () => {
    const nodes = lowered('bf16', { trained: true })
    const [steps] = named(nodes, 'TimeSteps').outputs
    for (const op of ['SelectiveScan', 'SelectiveScanGrad']) {
      expect(named(nodes, op).attributes.stepsGiven, op).toBe(1)
      expect(named(nodes, op).inputs[1], op).toBe(steps)
    }
  })

  test('are given to a scan and its gradient also where one of them waits for its bias', () => {
    const { g, scan, bias } = product('bf16')
    g.output('y', scan(bias))
    g.output('later', scan(g.after(bias, [g.outputs.get('y')!])))
    const nodes = nodesOf(g).filter(({ op }) => op !== 'After')
    expect(nodes.map(({ op, attributes }) => [op, attributes.stepsGiven])).toEqual([
      ['TimeSteps', undefined],
      ['SelectiveScan', 1],
      ['SelectiveScan', 1],
    ])
  })

  test.for(['speed', 'balanced', 'memory'] as const)(
    'are never a product of their own in a training step that keeps what is best for %s',
    (recompute) => {
      const { recipe } = presets.find(({ name }) => name === 'tiny')!
      const model = { ...recipe.model, embedDim: 128, depth: 4 } // 524,288 steps, of which a scan without a gradient makes its own
      const nodes = nodesOf(trainGraph({ ...recipe, model, recompute }, { compute: 'bf16', scanChunk: 16 }))
      const scans = nodes.filter(({ op }) => op.startsWith('SelectiveScan'))
      expect(scans.length).toBeGreaterThanOrEqual(2 * 4)
      expect(scans.filter(({ attributes, inputs }) => attributes.stepsGiven !== 1 && !inputs[9]).map(({ op }) => op)).toEqual([])
    },
  )

  test.for([
    ['of odd rank', { rank: 9 }],
    ['of high rank', { rank: 200 }],
    ['of odd width', { dim: 40 }],
  ] as const)('stay a product in training where they are %s', ([, sizes]) => {
    const nodes = lowered('bf16', { ...sizes, trained: true })
    expect(nodes.map(({ op }) => op)).toContain('Gemm')
    expect(named(nodes, 'SelectiveScanGrad').attributes.stepsGiven).toBeUndefined()
  })

  test('stay a product in types of 32 bits, which a processor has', () => {
    expect(lowered('f32').map(({ op }) => op)).toEqual(['Reshape', 'Gemm', 'Reshape', 'SelectiveScan'])
  })

  test('stay a product where something else reads them too', () => {
    const { g, delta, scan, bias } = product('bf16')
    g.output('y', scan(bias))
    g.output('delta', delta)
    expect(opsOf(g)).toContain('Gemm')
  })

  test('stay a product where two scans add different biases', () => {
    const { g, scan, bias } = product('bf16')
    g.output('y', scan(bias))
    g.output('another', scan(null))
    expect(opsOf(g)).toContain('Gemm')
    const alike = product('bf16')
    alike.g.output('y', alike.scan(alike.bias))
    alike.g.output('another', alike.scan(alike.bias))
    expect(opsOf(alike.g)).toEqual(['TimeSteps', 'SelectiveScan', 'SelectiveScan'])
  })
})
