import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { presets } from '#engine/presets.ts'
import { relativeError } from '#engine/relative-error.ts'
import { microBatchOf } from '#engine/training/train-graph.ts'
import { Trainer } from '#engine/training/trainer.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe: Recipe = {
  ...tiny,
  seed: 7,
  batchSize: 6,
  model: { ...tiny.model, embedDim: 32, depth: 2, height: 16, width: 16, dropPath: 0.2 },
}
const batch = (step: number) => ({
  images: Uint8Array.from(numbers(6 * 3 * 16 * 16, { seed: step, low: 0, high: 256 })),
  ids: Int32Array.from(numbers(6 * recipe.textEncoder!.tokens, { seed: step, low: 0, high: 60 }), Math.floor),
})

async function train(microBatch: number | null) {
  using trainer = await Trainer.create(runtime, { ...recipe, microBatch }, null)
  const results = []
  for (let step = 1; step <= 6; step++) results.push(await trainer.step(step, batch(step)))
  return { results, weights: trainer.capture() }
}

test.each([1, 2, 3])(
  'a batch of six in pieces of %i trains as the whole does: noise, times and dropped parts are those of the batch',
  async (size) => {
    const [whole, pieces] = await Promise.all([train(null), train(size)])
    whole.results.forEach(({ loss, gradNorm }, i) => {
      expect(relativeError([pieces.results[i]!.loss], [loss])).toBeLessThan(1e-5)
      expect(relativeError([pieces.results[i]!.gradNorm], [gradNorm])).toBeLessThan(1e-4)
    })
    for (const [name, { values }] of whole.weights)
      // A softmax does not see what is added to all its keys: that bias has no gradient but rounding, and AdamW makes steps of it.
      if (name.startsWith('ema/') && !name.endsWith('.to_k.bias'))
        expect(relativeError(pieces.weights.get(name)!.values, values), name).toBeLessThan(1e-2)
  },
)

test('a batch cannot be cut into pieces that do not fill it', () => {
  expect(() => microBatchOf({ batchSize: 6, microBatch: 4 })).toThrow('"microBatch" must divide "batchSize". Choose 3.')
  expect(microBatchOf({ batchSize: 6, microBatch: 8 })).toBe(6)
})
