import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { readTrainingState, writeTrainingState } from '#engine/checkpoint/training-state.ts'
import { presets } from '#engine/presets.ts'
import { Trainer } from '#engine/training/trainer.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe: Recipe = {
  ...tiny,
  seed: 7,
  batchSize: 2,
  model: { ...tiny.model, embedDim: 32, depth: 2, height: 16, width: 16, dropPath: 0.2 },
}
const tokens = recipe.textEncoder!.tokens
const batch = (step: number) => ({
  images: Uint8Array.from(numbers(2 * 3 * 16 * 16, { seed: step, low: 0, high: 256 })),
  ids: Int32Array.from(numbers(2 * tokens, { seed: step, low: 0, high: 60 }), Math.floor),
})

/** Steps `from`..`to` on a new trainer; its state as the files of a checkpoint. */
async function run(from: number, to: number, files: Map<string, Uint8Array> | null): Promise<Map<string, Uint8Array>> {
  using trainer = await Trainer.create(runtime, recipe, files && readTrainingState(files))
  for (let step = from; step <= to; step++) await trainer.step(step, batch(step))
  return writeTrainingState({ step: to, recipe, snapshot: 'none', tokenizer: null, engine: 'test', tensors: trainer.capture() })
}

test('training that stops after three steps and resumes from its files ends with the same bits as training in one go', async () => {
  const straight = await run(1, 6, null)
  const resumed = await run(4, 6, await run(1, 3, null))
  for (const [name, bytes] of straight) expect(Buffer.compare(bytes, resumed.get(name)!), name).toBe(0)
})
