import { expect, test } from 'vitest'
import { measureMemory, memoryRecipes } from '#engine/bench-memory.ts'
import { fit, forecastOf, stepBytes } from '#engine/forecast.ts'
import { presets } from '#engine/presets.ts'
import { precisionOf } from '#engine/runtime/precision.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { runtime } from '#tests/support/differences.ts'

const official = presets.find(({ name }) => name === 'zigzag8_b1_pe2')!.recipe
const gib = 2 ** 30

test.each(memoryRecipes().filter(({ name }) => process.env.ZIGMA_LONG || !/balanced|deep/.test(name)))(
  'what a step takes is foretold within a tenth: $name',
  async ({ name, recipe }) => {
    const { ratio } = await measureMemory(runtime, name, recipe)
    expect(ratio).toBeGreaterThan(0.9)
    expect(ratio).toBeLessThan(1.1)
  },
)

/** Measured on one H200 with everything kept, the weights' copies included, without validation (docs/performance.md). */
test('official models on a GPU are foretold within a tenth of what was measured there', () => {
  const on = (batchSize: number) => forecastOf({ ...official, batchSize }, { device: 'cuda', totalBytes: null }).memoryBytes / gib
  expect(on(32)).toBeGreaterThan(0.9 * 21.6)
  expect(on(32)).toBeLessThan(1.1 * 21.6)
})

test.each([
  ['balanced', 8.2],
  ['memory', 5],
] as const)('a step of the official model that keeps as %s does takes at most %d GiB of a GPU', (recompute, gibs) => {
  const recipe = { ...official, batchSize: 32, recompute }
  expect(stepBytes(recipe, trainGraph(recipe, precisionOf({ device: 'cuda' }, recipe)), 'cuda') / gib).toBeLessThan(gibs)
})

test('a training that is too large is told the fastest settings that fit, and one that fits is told nothing', () => {
  const recipe = { ...official, batchSize: 32 }
  const advised = (memoryGib: number) => forecastOf(recipe, { device: 'cuda', totalBytes: memoryGib * gib }).advice
  expect(advised(80)).toBeNull()
  expect(advised(20)).toMatchObject({ recompute: 'speed', microBatch: 16 })
  expect(advised(12)).toMatchObject({ recompute: 'balanced', microBatch: null })
  expect(advised(8)!.memoryBytes).toBeLessThan(8 * gib)
  expect(fit(recipe, { device: 'cuda', totalBytes: 1 * gib })).toBeNull()
}, 20_000)
