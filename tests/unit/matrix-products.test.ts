import { expect, test } from 'vitest'
import { countedNodes } from '#engine/floor.ts'
import type { Graph } from '#engine/graph/value.ts'
import { matrixProducts } from '#engine/lowering/matrix-products.ts'
import { presets } from '#engine/presets.ts'
import { trainGraph } from '#engine/training/train-graph.ts'

const { recipe } = presets.find(({ name }) => name === 'tiny')!
const plain = { ...recipe, textEncoder: null, model: { ...recipe.model, condition: { kind: 'none' } } } as const

/** Multiplications and additions of a graph's products, those of constants left out. */
const operations = (g: Graph) =>
  countedNodes(g).reduce((sum, { node, work }) => (node.op === 'Gemm' || node.op === 'MatMul' ? sum + work.flops : sum), 0)

test('the products of a training step, by themselves, are as many multiplications as in the step', () => {
  const step = trainGraph(plain, {})
  expect(operations(matrixProducts(step))).toBe(operations(step))
  expect(operations(step)).toBeGreaterThan(1e9)
})
