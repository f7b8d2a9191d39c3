import { describe, expect, test } from 'vitest'
import { generationRequest } from '#contracts/gallery.ts'
import { defaultSettings, keptSettings, requestOf, reusedSettings } from '#renderer/composables/draw-settings.ts'

const request = generationRequest.parse({
  model: { runId: 'run-1', step: 40, weights: 'ema' },
  prompt: 'red apple',
  negativePrompt: 'green',
  seed: 77,
  count: 1,
  steps: 9,
  sampler: 'heun',
  cfgScale: 2.5,
})

describe('settings of the Generate stage', () => {
  test('reused from a picture ask for that very picture', () => {
    expect(generationRequest.parse(requestOf(reusedSettings(request)))).toEqual(request)
  })
  test('reused from a picture hold its seed rather than taking a new one', () => {
    expect(reusedSettings(request).randomSeed).toBe(false)
  })
  test('come back as they were kept', () => {
    const settings = reusedSettings(request)
    expect(keptSettings(JSON.stringify(settings))).toEqual(settings)
  })
  test.each(['', 'null', '{', '{"steps":-1}'])('are the defaults when what was kept is %j', (text) => {
    expect(keptSettings(text)).toEqual(defaultSettings())
  })
})
