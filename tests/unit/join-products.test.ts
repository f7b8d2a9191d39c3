import { describe, expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { countedNodes } from '#engine/floor.ts'
import { drawingGraph, drawingStages } from '#engine/generation/drawing-graph.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Graph, Node } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { linear } from '#engine/nn/linear.ts'
import { presets } from '#engine/presets.ts'

const recipeOf = (name: string, depth = 24): Recipe => {
  const { recipe } = presets.find((preset) => preset.name === name)!
  return { ...recipe, model: { ...recipe.model, depth } }
}
const size = { batchSize: 1, guided: false, compute: 'bf16', scanChunk: 16 } as const
const stepOf = (recipe: Recipe) => drawingStages(recipe, size).step
/** What is prepared for many steps, without what weights and text alone give. */
const aheadOf = (recipe: Recipe): Graph => {
  const { prepare } = drawingStages(recipe, size)
  return { ...prepare!, outputs: new Map([...prepare!.outputs].filter(([name]) => name.startsWith('timed'))) }
}
const nodesOf = (graph: Graph, op: string) => loweredNodes(graph, 'native').nodes.filter((node) => node.op === op)

/** Products of at most two rows that another product of the same left input stands beside. */
function repeatedProducts(graph: Graph): Node[] {
  const few = nodesOf(graph, 'Gemm').filter(({ outputs }) => outputs[0]!.shape[0]! <= 2)
  const lefts = Map.groupBy(few, ({ inputs: [x] }) => (x!.node?.op === 'Cast' ? x!.node.inputs[0]! : x!))
  return [...lefts.values()].filter((products) => products.length > 1).flat()
}

describe.each([
  ['zigzag8_b1_pe2', 3],
  ['zigzag8_b1_pe2_text', 6],
])('a step of drawing with 24 blocks, %s', (name, pieces) => {
  test('has no two products of the same few rows, where the whole network has 24', () => {
    expect(repeatedProducts(drawingGraph(recipeOf(name), size))).toHaveLength(24)
    expect(repeatedProducts(stepOf(recipeOf(name)))).toEqual([])
    expect(nodesOf(aheadOf(recipeOf(name)), 'Gemm').filter(({ outputs: [y] }) => y!.shape[1]! > 768)).toHaveLength(1)
  })

  test('cuts their one result in two levels, which norms read as it lies', () => {
    const step = stepOf(recipeOf(name))
    const isOfSample = ({ op, inputs: [x] }: Node) => op === 'Split' && x!.shape[0] === 1 && x!.shape.length === 2
    const cuts = step.nodes.filter(isOfSample)
    expect(cuts.map(({ outputs }) => outputs.length)).toEqual([pieces, ...Array<number>(pieces).fill(24)])
    expect(nodesOf(step, 'Split').map(({ inputs: [x] }) => x)).toEqual([step.inputs.get('pictures')])
    const wholes = new Set(nodesOf(step, 'AddNormModulate').flatMap(({ inputs }) => [inputs[4], inputs[5], inputs[7]].filter((x) => !!x)))
    expect([...wholes].map(({ shape }) => shape)).toEqual([[1, pieces * 24 * 768]])
  })
})

test.each([
  ['without text', 'zigzag8_b1_pe2', { AddNormModulate: 1, Gemm: 3, ScanConv: 1, SelectiveScan: 1 }],
  ['with text', 'zigzag8_b1_pe2_text', { AddNormModulate: 2, Gemm: 5, ScanConv: 1, SelectiveScan: 1, Attention: 1 }],
])('a block of a step of drawing %s runs nothing for its modulation alone', (_, name, expected) => {
  const count = (depth: number) => Map.groupBy(countedNodes(stepOf(recipeOf(name, depth))), ({ node }) => node.op)
  const [more, fewer] = [count(24), count(16)]
  const perBlock = [...more].map(([op, nodes]) => [op, (nodes.length - (fewer.get(op)?.length ?? 0)) / 8] as const)
  expect(Object.fromEntries(perBlock.filter(([, nodes]) => nodes !== 0))).toEqual(expected)
})

const opsOf = (graph: Graph) => loweredNodes(graph, 'native').nodes.map(({ op }) => op).filter((op) => op !== 'Reshape') // prettier-ignore

test.each([
  ['without text', 'zigzag8_b1_pe2'],
  ['with text', 'zigzag8_b1_pe2_text'],
])('drawing one picture %s, what time makes of the modulations is computed for 256 steps at once', (_, name) => {
  const ahead = aheadOf(recipeOf(name))
  expect(opsOf(ahead).slice(-9)).toEqual(['Mul', 'Add', 'Sin', 'Gemm', 'Silu', 'Gemm', 'Silu', 'Cast', 'Gemm'])
  expect(ahead.inputs.get('t')!.shape).toEqual([256])
  const ops = opsOf(stepOf(recipeOf(name)))
  // Pixels become tokens, whose positions the norm adds, and the row of modulations is found.
  expect(ops.slice(0, ops.indexOf('AddNormModulate')).toSorted()).toEqual(['Cast', 'Cast', 'Gather', 'Gemm', 'Split'])
})

describe('products of one input', () => {
  const joined = (build: (g: GraphBuilder) => void) => {
    const g = new GraphBuilder()
    build(g)
    return nodesOf(stagesOf(g, new Set()).step, 'Gemm').map(({ outputs }) => outputs[0]!.shape)
  }
  const layers = (g: GraphBuilder, rows: number, widths: readonly number[]) =>
    widths.forEach((width, i) => g.output(`y${i}`, linear(g, rowsOf(g, rows), `layer.${i}`, width)))
  const rowsOf = (g: GraphBuilder, rows: number) => g.inputs.get('x') ?? g.input('x', [rows, 5])

  test('become one where their widths are equal', () => {
    expect(joined((g) => layers(g, 2, [4, 7, 4, 4, 7, 3]))).toEqual([
      [2, 12],
      [2, 14],
      [2, 3],
    ])
  })

  test('are left alone where there are many rows', () => {
    expect(joined((g) => layers(g, 65, [4, 4]))).toEqual([
      [65, 4],
      [65, 4],
    ])
  })

  test('are joined 32 at most, in equal shares: 65 of them become three', () => {
    expect(joined((g) => layers(g, 1, Array<number>(65).fill(2)))).toEqual([
      [1, 42],
      [1, 44],
      [1, 44],
    ])
  })

  test('are left alone where a weight is computed from what changes', () => {
    expect(
      joined((g) => {
        const x = g.input('x', [2, 5])
        const weight = g.mul(g.parameter('w', [5, 3]), g.input('changing', [5, 3]))
        g.output('y', g.add(g.gemm(x, weight), g.gemm(x, g.parameter('v', [5, 3]))))
      }),
    ).toEqual([
      [2, 3],
      [2, 3],
    ])
  })
})
