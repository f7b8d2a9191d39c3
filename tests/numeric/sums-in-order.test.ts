import { expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { sizeOf } from '#engine/graph/shape.ts'
import { lower } from '#engine/lowering/lower.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { precisionOf } from '#engine/runtime/precision.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

/** Float32 throughout, as a GPU's sums, though the products around them have 16 bits. */
const mixed = () => new GraphBuilder('f32', { compute: 'bf16' })

const wholeShape = [32, 4, 32, 32]
test.each([
  ['all of a batch', wholeShape, [0, 1, 2, 3]],
  ['a prime number', [7], [0]],
  ['one', [1, 1], [0, 1]],
  ['the first', [5, 3, 4], [0, 1]],
  ['those in the middle', [3, 5, 4], [1]],
  ['the last', [3, 5, 4], [1, 2]],
  ['two apart', [3, 5, 4], [0, 2]],
])('sums and means over %s are those of ONNX Runtime, with the axes kept or not', async (_, shape, axes) => {
  const results = await Promise.all(
    [mixed(), new GraphBuilder('f32')].map((g) => {
      const x = g.input('x', shape)
      for (const keepDims of [true, false]) {
        g.output(`sum ${keepDims}`, g.sum(x, axes, keepDims))
        g.output(`mean ${keepDims}`, g.mean(x, axes, keepDims))
      }
      return evaluate(runtime, g, { x: numbers(sizeOf(shape), { low: 0 }) })
    }),
  )
  for (const [name, expected] of Object.entries(results[1]!)) {
    expect(results[0]![name]).toHaveLength(expected.length)
    expected.forEach((value, i) => expect(results[0]![name]![i]! / value, name).toBeCloseTo(1, 6))
  }
})

test('a mean of many squares is as close to the truth as float32 allows', async () => {
  const g = mixed()
  g.output('mean', g.mean(g.square(g.input('x', wholeShape)), [0, 1, 2, 3]))
  const x = numbers(sizeOf(wholeShape)).map(Math.fround)
  const truth = x.reduce((sum, value) => sum + value * value, 0) / x.length
  expect((await evaluate(runtime, g, { x })).mean![0]! / truth).toBeCloseTo(1, 6)
})

test.each([
  ['tiny', 'bf16'],
  ['tiny', 'f32'],
  ['zigzag8_b1_pe2_text', 'bf16'],
] as const)('no step of %s on a GPU in %s leaves the order of a sum to ONNX Runtime', (name, precision) => {
  const { recipe } = presets.find((preset) => preset.name === name)!
  const small = { ...recipe, precision, batchSize: 2, model: { ...recipe.model, depth: 2 } }
  const { nodes } = lower(trainGraph(small, precisionOf({ device: 'cuda' }, small)))
  expect(nodes.filter(({ op }) => /^Reduce|^Scatter/.test(op))).toEqual([])
})
