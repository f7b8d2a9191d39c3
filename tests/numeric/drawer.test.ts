import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { Drawer } from '#engine/generation/drawer.ts'
import { evaluationsAhead } from '#engine/generation/drawing-graph.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { zigma } from '#engine/models/zigma/zigma.ts'
import { presets } from '#engine/presets.ts'
import { normal, streams } from '#engine/random/philox.ts'
import { relativeError } from '#engine/relative-error.ts'
import { Buffers } from '#engine/runtime/buffers.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { samplers } from '#engine/samplers/ode.ts'
import { uniformTimes } from '#engine/samplers/sampler.ts'
import { encodeText } from '#engine/text/text-encoder.ts'
import { fitTokenizer, Tokenizer } from '#engine/text/tokenizer.ts'
import { carried } from '#tests/support/carried.ts'
import { runtime } from '#tests/support/differences.ts'
import { asGpu, fullRuntime, recordingGpu } from '#tests/support/failing-runtime.ts'
import { smallFeeds } from '#tests/support/small-networks.ts'

const { recipe: tiny } = presets.find(({ name }) => name === 'tiny')!
const withText: Recipe = {
  ...tiny,
  model: { ...tiny.model, height: 8, width: 8, embedDim: 32, depth: 2, scan: { kind: 'zigzag', count: 2 } },
}
const withoutText: Recipe = { ...withText, textEncoder: null, model: { ...withText.model, condition: { kind: 'none' } } }
const tokenizer = new Tokenizer(fitTokenizer(['a red cat', 'a blue dog', 'two birds'], withText.textEncoder!.vocabularySize))

/** The network alone, as a training sees it. */
function networkOf({ model, textEncoder }: Recipe, batch: number): GraphBuilder {
  const g = new GraphBuilder('f32')
  const condition = textEncoder && encodeText(g, textEncoder, g.input('ids', [batch, textEncoder.tokens], 'i32'))
  const image = g.input('image', [batch, model.channels, model.height, model.width])
  g.output('velocity', zigma(g, model, { image, t: g.input('t', [batch]), condition }))
  return g
}

function heldWeights(network: GraphBuilder): Buffers {
  const weights = smallFeeds(network)
  const memory = new Buffers(runtime, network.parameters)
  for (const name of network.parameters.keys()) memory.write(name, weights[name]!)
  return memory
}

const prompts = ['a red cat', 'two birds', 'a blue dog', 'a red bird', 'two cats']
const seeds = [3, 11, 5, 8, 13]

test.each([
  [1, 'euler', 'without text', withoutText, 12],
  [2, 'heun', 'without text', withoutText, 66],
  [1, 'euler', 'with guidance', withText, 12],
  [3, 'euler', 'with guidance', withText, 12],
  [5, 'heun', 'with guidance', withText, 3],
] as const)('a batch of %i drawn by %s %s is carried where the equation says', async (batchSize, sampler, _, recipe, steps) => {
  const guided = recipe.textEncoder !== null
  const rows = guided ? 2 * batchSize : batchSize
  const network = networkOf(recipe, rows)
  const weights = smallFeeds(network)
  const settings = { steps, sampler, cfgScale: 2.5, negativePrompt: 'a blue dog' }
  const evaluations = samplers[sampler](uniformTimes(steps))

  using memory = heldWeights(network)
  using drawer = await Drawer.create(runtime, recipe, memory.tensors, { tokenizer: guided ? tokenizer : null, batchSize, guided })
  const told: number[] = []
  const drawn = await drawer.draw(prompts.slice(0, batchSize), seeds.slice(0, batchSize), settings, { onStep: (step) => told.push(step) })
  expect(told).toEqual([...Array(steps).keys()])

  const size = recipe.model.channels * 8 * 8
  const noise = seeds.slice(0, batchSize).flatMap((seed) => [...normal(size, { seed, stream: streams.sampling })])
  const ids = Int32Array.from(
    [...prompts.slice(0, batchSize), ...Array<string>(batchSize).fill('a blue dog')].slice(0, rows).flatMap((text) => [...tokenizer.encode(text, withText.textEncoder!.tokens)]),
  ) // prettier-ignore
  const velocity = async (x: Float64Array, t: number): Promise<Float64Array> => {
    const image = Float32Array.from(guided ? [...x, ...x] : x)
    const { velocity: v } = await evaluate(runtime, network, {
      ...weights,
      image,
      t: new Float32Array(rows).fill(t),
      ...(guided ? { ids } : {}),
    })
    return x.map((_, i) => (guided ? v![x.length + i]! + 2.5 * (v![i]! - v![x.length + i]!) : v![i]!))
  }
  const expected = await carried(velocity, Float64Array.from(noise), evaluations)
  const all = drawn.flatMap(({ values }) => [...values])
  // With guidance each of the two, in float32, is itself 2e-5 to 6e-5 away from float64.
  expect(relativeError(Float32Array.from(all), Float32Array.from(expected))).toBeLessThan(5e-5)
})

test('those drawings prepare for some evaluations more than once, for all at once, and for none', () => {
  expect([1, 2].map((batchSize) => evaluationsAhead({ batchSize, guided: false }))).toEqual([256, 128])
  expect([1, 5].map((batchSize) => evaluationsAhead({ batchSize, guided: true }))).toEqual([128, 1])
})

test('a drawing that is stopped ends with the reason, and the drawer draws on as if nothing had been', async () => {
  using memory = heldWeights(networkOf(withoutText, 1))
  using drawer = await Drawer.create(runtime, withoutText, memory.tensors, { tokenizer: null, batchSize: 1, guided: false })
  const settings = { steps: 10, sampler: 'euler', cfgScale: 1, negativePrompt: '' } as const
  const [undisturbed] = await drawer.draw([''], [7], settings)

  const stop = new AbortController()
  const seen: number[] = []
  const onStep = (step: number) => {
    seen.push(step)
    if (step === 3) stop.abort()
  }
  await expect(drawer.draw([''], [7], settings, { signal: stop.signal, onStep })).rejects.toThrow(/abort/i)
  expect(seen).toEqual([0, 1, 2, 3])
  expect(await drawer.draw([''], [7], settings)).toEqual([undisturbed])
})

test('a run that is made twice when it is recorded moves no picture twice', async () => {
  using memory = heldWeights(networkOf(withoutText, 9))
  const recipe: Recipe = { ...withoutText, precision: 'f32' }
  const drawnOn = async (device: NativeRuntime) => {
    using drawer = await Drawer.create(device, recipe, memory.tensors, { tokenizer: null, batchSize: 9, guided: false })
    return await drawer.draw([''], [7], { steps: 10, sampler: 'euler', cfgScale: 1, negativePrompt: '' })
  }
  // Of so many pictures every evaluation is written by itself: one that is made twice goes astray.
  expect(evaluationsAhead({ batchSize: 9, guided: false })).toBe(1)
  const [[once], [recorded]] = [await drawnOn(asGpu(runtime)), await drawnOn(recordingGpu(runtime))]
  expect(recorded!.values).toEqual(once!.values)
})

test.each([1, 2])('a drawer whose session %i finds no memory holds nothing', async (failing) => {
  const { full, held } = fullRuntime(runtime, failing)
  await expect(Drawer.create(full, withText, new Map(), { tokenizer, batchSize: 1, guided: true })).rejects.toThrow(/out of memory/)
  expect(held()).toBe(0)
})
