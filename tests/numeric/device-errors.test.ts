import { expect, test } from 'vitest'
import type { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { createEngine } from '#engine/index.ts'
import type { DatasetReader, EnginePorts } from '#engine/ports.ts'
import { presets } from '#engine/presets.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'
import { runtime } from '#tests/support/differences.ts'
import { asGpu, failingRuntime } from '#tests/support/failing-runtime.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe: Recipe = {
  ...tiny,
  batchSize: 4,
  steps: 3,
  checkpointEvery: 100,
  samplePrompts: [],
  model: { ...tiny.model, embedDim: 32, depth: 2, height: 8, width: 8 },
}
const size = 6

const dataset: DatasetReader = {
  size,
  imageSize: 8,
  ids: Array.from({ length: size }, (_, i) => `item-${i}`),
  pixelHashes: Array.from({ length: size }, (_, i) => `hash-${i}`),
  captions: [['a red square'], ['a blue square'], ['a green square'], ['a white square'], ['a black square'], ['a gray square']],
  splits: Array.from({ length: size }, () => 'train' as const),
  repeats: Array.from({ length: size }, () => 1),
  image: (index, into = new Uint8Array(8 * 8 * 3)) => into.fill(40 * index),
  [Symbol.dispose]: () => undefined,
}

/** An engine on a runtime that fails as told; everything it writes stays in memory. */
function engineOn(native: NativeRuntime, settings: Recipe = recipe) {
  const seen = { notes: [] as string[], losses: [] as number[], saved: [] as number[], lost: [] as string[] }
  const ports: EnginePorts = {
    openRuntime: () => native,
    openDataset: () => Promise.resolve(dataset),
    openAutoencoder: () => Promise.reject(new Error('there is none')),
    openFeatures: () => Promise.reject(new Error('there are none')),
    hash: () => '',
    modelFolder: () => {
      throw new Error('there is none')
    },
    checkpoints: () => ({
      write: (step) => {
        seen.saved.push(step)
        return Promise.resolve({ hash: '', sizeBytes: 0 })
      },
      newest: () => Promise.resolve(null),
      at: () => Promise.reject(new Error('there is none')),
    }),
    metrics: () => ({
      append: (points) => {
        for (const { loss } of points) if (loss !== null) seen.losses.push(loss)
        return Promise.resolve()
      },
      readAll: () => Promise.resolve([]),
      truncateAfter: () => Promise.resolve(),
    }),
    publish: (_, news) => {
      if ('note' in news && news.note) seen.notes.push(news.note)
    },
    deviceLost: (sentence) => seen.lost.push(sentence),
    now: () => performance.now(),
  }
  const train = () =>
    createEngine(ports)['engine.train'](
      { recipe: settings, datasetFolder: '/d', snapshot: 's', runFolder: '/r' },
      { signal: new AbortController().signal },
    )
  return { seen, train }
}

const noMemory = () => Object.assign(new Error('BFCArena: Failed to allocate memory for requested buffer'), { code: 'RunError' })
/** The GPU that has room for so many pictures at once. */
const roomFor = (pictures: number) =>
  failingRuntime(runtime, ({ inputs }) => ((inputs.get('images')?.[0] ?? 0) > pictures ? noMemory() : null))

test('a step that finds no memory is done in smaller pieces, with the losses of the whole batch', async () => {
  const [ample, tight] = [engineOn(roomFor(4)), engineOn(roomFor(1))]
  await ample.train()
  expect(await tight.train()).toMatchObject({ step: 3, finished: true })
  tight.seen.losses.forEach((loss, i) => expect(loss).toBeCloseTo(ample.seen.losses[i]!, 4))
  expect(tight.seen.losses).toHaveLength(3)
  expect(tight.seen.notes).toContain('memory: 1')
})

test('a batch that finds no memory where its step is recorded, on a GPU, is told as well', async () => {
  const { seen, train } = engineOn(asGpu(roomFor(1)), { ...recipe, precision: 'f32' })
  expect(await train()).toMatchObject({ step: 3, finished: true })
  expect(seen.notes[0]).toBe('memory: 1')
})

test('where not even one picture fits the training ends with what to do about it, and the device is not called lost', async () => {
  const { seen, train } = engineOn(roomFor(0))
  await expect(train()).rejects.toMatchObject({ code: 'out-of-memory', message: expect.stringContaining('even one picture') as string })
  expect(seen.lost).toEqual([])
})

test('a lost device is told as that, once, with the reason in its sentence', async () => {
  const fault = Object.assign(new Error('CUDA failure 700: an illegal memory access was encountered ; GPU=0'), { code: 'RunError' })
  const { seen, train } = engineOn(failingRuntime(runtime, () => fault))
  await expect(train()).rejects.toMatchObject({ code: 'device-lost' })
  expect(seen.lost).toHaveLength(1)
  expect(seen.lost[0]).toContain('CUDA failure 700')
})

test('a loss that is not a number names the pictures of its batch', async () => {
  const wild: Recipe = { ...recipe, steps: 50, optimizer: { ...recipe.optimizer, learningRate: 1e30, warmupSteps: 0, clipNorm: 0 } }
  const captions = dataset.captions.map(([caption]) => `"${caption}"`)
  const error = await engineOn(runtime, wild)
    .train()
    .catch((thrown: unknown) => thrown as StudioError)
  expect(error).toMatchObject({ code: 'not-finite' })
  const held = /Its batch held (.*?)\. Lower/.exec((error as StudioError).message)![1]!.split(', ')
  expect(held).toHaveLength(4)
  for (const caption of held) expect(captions).toContain(caption)
})
