import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { gpuCases } from '#engine/bench-cases.ts'
import { measureSampling, measureTraining } from '#engine/bench-gpu.ts'
import { checkParity } from '#engine/parity.ts'
import { presets } from '#engine/presets.ts'
import { normal, uniform } from '#engine/random/philox.ts'
import { Trainer } from '#engine/training/trainer.ts'
import { openRuntime } from '#native-ops/load.ts'
import { drawnOn } from '#tests/support/drawn-on.ts'
import { goldenFolder, whyNoGoldens } from '#tests/support/goldens.ts'

const gpu = openRuntime({ device: 'cuda' })
const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe: Recipe = { ...tiny, seed: 7, batchSize: 16 }
const { height, width, channels } = recipe.model
const caseNamed = (name: string) => gpuCases().find((one) => one.name === name)!

/** Sixteen pictures a step, each of one color with a bright square somewhere, and the color's number as its caption: something that can be learned. */
function batchOf(step: number) {
  const images = new Uint8Array(recipe.batchSize * height * width * channels)
  const ids = new Int32Array(recipe.batchSize * recipe.textEncoder!.tokens)
  for (let picture = 0; picture < recipe.batchSize; picture++) {
    const drawn = (step * recipe.batchSize + picture) * 2654435761
    const [color, x, y] = [(drawn >>> 8) % 7, (drawn >>> 12) % (width - 8), (drawn >>> 20) % (height - 8)]
    ids[picture * recipe.textEncoder!.tokens] = 4 + color
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++)
        for (let channel = 0; channel < channels; channel++) {
          const inside = row >= y && row < y + 8 && column >= x && column < x + 8
          const value = inside ? 255 : ((color + 1) >> channel) & 1 ? 180 : 40
          images[((picture * height + row) * width + column) * channels + channel] = value
        }
  }
  return { images, ids }
}

async function losses(precision: Recipe['precision'], steps: number): Promise<{ losses: number[]; state: Map<string, Uint8Array> }> {
  using trainer = await Trainer.create(gpu, { ...recipe, precision }, null)
  const losses: number[] = []
  for (let step = 1; step <= steps; step++) losses.push((await trainer.step(step, batchOf(step))).loss)
  const state = new Map([...trainer.capture()].map(([name, { values }]) => [name, Buffer.from(values.buffer)] as const))
  return { losses, state }
}

test.each(['f32', 'bf16'] as const)(
  'two trainings of one seed end with the same bits, in %s',
  async (precision) => {
    const [first, second] = [await losses(precision, 20), await losses(precision, 20)]
    expect(first.losses).toEqual(second.losses)
    const differing = [...first.state].filter(([name, bytes]) => Buffer.compare(bytes, second.state.get(name)!) !== 0).map(([name]) => name)
    expect(differing).toEqual([])
  },
  120_000,
)

test('over 500 steps the loss of bfloat16 stays within 2 % of that of float32, in means of 100 steps', async () => {
  const [wide, narrow] = [(await losses('f32', 500)).losses, (await losses('bf16', 500)).losses]
  const means = (all: number[]) =>
    Array.from({ length: 5 }, (_, i) => all.slice(100 * i, 100 * i + 100).reduce((sum, x) => sum + x / 100, 0))
  const expected = means(wide)
  const ratios = means(narrow).map((mean, i) => mean / expected[i]!)
  for (const ratio of ratios) expect(Math.abs(ratio - 1), String(ratios)).toBeLessThan(0.02)
  expect(expected.at(-1)!).toBeLessThan(0.5 * expected[0]!)
}, 300_000)

test.skipIf(!goldenFolder)(
  `the official networks, in float32${whyNoGoldens}`,
  async () => {
    const files = readdirSync(goldenFolder!).filter(
      (file) => /^(selective_scan|zigma)_.*safetensors$/.test(file) && !file.includes('video'),
    )
    const outcomes = await Promise.all(
      files.map(async (file) => [file, (await checkParity(gpu, file, readFileSync(join(goldenFolder!, file)))).outcome] as const),
    )
    expect(outcomes.filter(([, outcome]) => outcome !== 'pass')).toEqual([])
  },
  120_000,
)

test.each(['train 1024 x 32', 'train 1024 x 32, balanced', 'train 1024 x 32, memory'])(
  'what a step takes is foretold within a tenth: %s',
  async (name) => {
    const { memoryBytes, forecastBytes } = await measureTraining(gpu, caseNamed(name).recipe)
    expect(forecastBytes! / memoryBytes).toBeGreaterThan(0.9)
    expect(forecastBytes! / memoryBytes).toBeLessThan(1.1)
  },
  120_000,
)

test('65,536 tokens of one picture are trained on and drawn', async () => {
  const { recipe: long } = caseNamed('train 65536 x 1')
  expect((await measureTraining(gpu, long)).ms).toBeGreaterThan(0)
  expect((await measureSampling(gpu, long)).ms).toBeGreaterThan(0)
}, 180_000)

test.each(['uniform', 'normal'] as const)('%s numbers have the same bits as on every other device', async (distribution) => {
  const counter = { seed: 9007199254740881, stream: 5, step: 123456, sample: 7 }
  expect(await drawnOn(gpu, 4099, distribution, counter)).toEqual((distribution === 'uniform' ? uniform : normal)(4099, counter))
})
