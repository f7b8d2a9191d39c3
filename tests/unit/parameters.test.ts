import { expect, test } from 'vitest'
import { forecastOf } from '#engine/forecast.ts'
import { presets } from '#engine/presets.ts'

/** Parameter counts of the official configurations for images, counted from their published shapes. */
test.each([
  ['s1024_zigzag8_b2_old', 133_856_272, 4096],
  ['zigzag8_b1_pe2', 134_624_260, 1024],
  ['zigzag8_b1_pe2_text', 215_504_644, 1024],
  ['sweep2_b1_pe2', 140_190_724, 1024],
  ['readme_demo', 116_996_483, 1024],
])('%s has %i parameters and %i tokens', (name, parameters, tokens) => {
  const { recipe } = presets.find((preset) => preset.name === name)!
  expect(forecastOf(recipe)).toMatchObject({ parameters, tokens })
})
