import { expect, test } from 'vitest'
import type { ConstantData } from '#engine/graph/value.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { imageValues } from '#engine/pixels.ts'
import { lossGraph, type PictureForm } from '#engine/training/loss-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { smallFeeds } from '#tests/support/small-networks.ts'

test('a loss of bytes is the loss of the values that they stand for', async () => {
  const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
  const recipe = {
    ...tiny,
    textEncoder: null,
    model: { ...tiny.model, condition: { kind: 'none' as const }, embedDim: 16, depth: 1, height: 8, width: 8 },
  }
  const bytes = Uint8Array.from(numbers(2 * 3 * 8 * 8, { seed: 1, low: 0, high: 256 }))
  const values = new Float32Array(bytes.length)
  for (const i of [0, 1]) imageValues(bytes.subarray(i * 192, (i + 1) * 192), 8, values.subarray(i * 192, (i + 1) * 192))
  const lossOf = async (pictures: PictureForm, images: ConstantData) => {
    const { graph, loss } = lossGraph(recipe, 2, { training: false, pictures })
    graph.output('loss', loss)
    const counters = { seed: BigInt64Array.of(1n), step: BigInt64Array.of(2n), sample: BigInt64Array.of(0n, 1n) }
    return (await evaluate(runtime, graph, { ...smallFeeds(graph), ...counters, images })).loss![0]!
  }
  const [ofBytes, ofValues] = [await lossOf('bytes', bytes), await lossOf('values', values)]
  expect(ofValues).toBeGreaterThan(0.5)
  expect(Math.abs(ofBytes - ofValues)).toBeLessThan(1e-6 * ofValues)
})
