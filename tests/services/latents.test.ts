import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inLatents, type AutoencoderInfo } from '#contracts/autoencoder.ts'
import type { Job } from '#contracts/job.ts'
import type { RunId } from '#contracts/project.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { OnnxAutoencoder } from '#engine/autoencoder/autoencoder.ts'
import { latentsEncoder, latentsSource } from '#engine/ports.ts'
import { presets } from '#engine/presets.ts'
import { compose, type Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { readAutoencoder } from '#main/store/autoencoder-shelf.ts'
import { FeatureCache } from '#main/store/feature-cache.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { openRuntime } from '#native-ops/load.ts'
import { noisy } from '#tests/fixtures/pictures.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { exactAutoencoder, meanAutoencoder, writeAutoencoder } from '#tests/support/tiny-autoencoders.ts'

const home = temporaryFolder()
const pictures = join(home, 'pictures')
const call = { signal: new AbortController().signal }
const count = 6
const steps = 5
let studio: Studio
let autoencoder: AutoencoderInfo
const heard: { unit: string; note: string | null; done: number; total: number | null }[] = []
const warned: string[] = []

const preset = presets[0]!.recipe
const onPixels: Recipe = {
  ...preset,
  model: { ...preset.model, height: 8, width: 8, patchSize: 2, embedDim: 32, depth: 2 },
  batchSize: 2,
  steps,
  checkpointEvery: steps,
  validateEvery: steps,
  sampleEvery: steps,
  samplePrompts: ['noise'],
}
const recipe = () => inLatents(onPixels, autoencoder)

beforeAll(async () => {
  mkdirSync(pictures)
  for (let i = 0; i < count; i++) writeFileSync(join(pictures, `noise ${i}.png`), await noisy(50 + i, 'png'))
  studio = await compose({
    host: 'cli',
    settingsFolder: join(home, 'settings'),
    projectsFolder: join(home, 'projects'),
    allowedRoots: [home],
  })
  studio.subscribe(({ name, news }) => {
    if (name === 'job.progressed') heard.push(news)
    if (name === 'system.warned') warned.push(news.message)
  })
  await studio.services['projects.create']({ name: 'latents' }, call)
  const options = { imageSize: 16, background: '#ffffff' }
  await ended(await studio.services['dataset.import']({ source: { kind: 'folder', path: pictures }, options }, call))
})
afterAll(() => studio.close())

async function ended(job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context.project().queue.list().find(({ id }) => id === job.id)! // prettier-ignore
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
async function train(over: Partial<Recipe> = {}): Promise<{ job: Job; runId: RunId; encoded: number }> {
  heard.length = 0
  const run = await studio.services['training.start']({ name: 'run', recipe: { ...recipe(), ...over } }, call)
  const before = entries()
  const job = await ended({ id: run.jobId! })
  return { job, runId: run.id as RunId, encoded: entries() - before }
}
/** Records of all kept latents: 40 bytes of header and 12 x 8 x 8 numbers each. */
function entries(): number {
  const root = studio.context.project().folder.features
  const files = (() => {
    try {
      return readdirSync(root, { recursive: true, encoding: 'utf8' })
    } catch {
      return []
    }
  })()
  return files.filter((name) => name.endsWith('.bin')).reduce((sum, name) => sum + statSync(join(root, name)).size / (40 + 12 * 64 * 4), 0)
}
const project = () => studio.context.project()

describe('a project with an autoencoder', () => {
  test('finds it in a folder as exporters write it, copies it and says what it is', async () => {
    const folder = writeAutoencoder(join(home, 'my autoencoder'), exactAutoencoder(), { _class_name: 'AutoencoderKL', scaling_factor: 0.5 })
    autoencoder = await studio.services['autoencoder.choose']({ path: folder }, call)
    expect(autoencoder).toMatchObject({ name: 'my autoencoder', channels: 12, factor: 2, scalingFactor: 0.5, shiftFactor: 0, dtype: 'f32', imageSize: null }) // prettier-ignore
    rmSync(folder, { recursive: true })
    expect(await studio.services['autoencoder.describe'](null, call)).toEqual(autoencoder)
  })

  test('trains in its space, encoding each picture once before the first step, and draws pictures that are decoded', async () => {
    const { job, runId, encoded } = await train()
    expect(job).toMatchObject({ state: 'done', result: { step: steps } })
    expect(encoded).toBe(count)
    const encoding = heard.filter(({ note }) => note === 'encode')
    expect(encoding.at(-1)).toMatchObject({ unit: 'pictures', done: count, total: count })
    expect(heard.findIndex(({ unit }) => unit === 'steps')).toBeGreaterThan(heard.lastIndexOf(encoding.at(-1)!))

    const sampled = await studio.services['training.samples']({ runId }, call)
    const sample = await resolveMedia(studio, sampled[0]!.pictureUrl, new URLSearchParams())
    expect(await sharp(sample!.bytes).metadata()).toMatchObject({ width: 16, height: 16 })

    const request = { model: { runId, step: null, weights: 'ema' as const }, prompt: 'noise', negativePrompt: '', seed: 3, count: 1, steps: 2, sampler: 'euler' as const, cfgScale: 2 } // prettier-ignore
    expect(await ended(await studio.services['generation.enqueue'](request, call))).toMatchObject({ state: 'done' })
    const { items } = await studio.services['gallery.list'](
      { text: '', minRating: 0, pick: null, trashed: false, offset: 0, limit: 5 },
      call,
    )
    expect(items[0]).toMatchObject({ width: 16, height: 16 })
  }, 20_000)

  test('gives the trainer exactly what its encoder makes of the picture that is shown', async () => {
    const { folder } = project()
    using dataset = await openSnapshot(folder.dataset, await project().dataset.freeze())
    const group = { kind: 'latents' as const, encoder: latentsEncoder(autoencoder.hash), dtype: 'f32' as const, shape: [12, 8, 8] }
    using kept = await FeatureCache.open(folder.features, group, new SafeFs())
    const runtime = openRuntime({ threads: 1 })
    using encoder = await OnnxAutoencoder.open(runtime, await readAutoencoder(project().autoencoders.folderOf(autoencoder.hash)), 16)
    for (const [item, id] of dataset.ids.entries()) {
      const shown = await resolveMedia(studio, `media/item/${id}`, new URLSearchParams())
      const rgb = new Uint8Array(await sharp(shown!.bytes).removeAlpha().raw().toBuffer())
      const bytes = kept.read(latentsSource(dataset.pixelHashes[item]!, false))!
      expect(new Float32Array(Uint8Array.from(bytes).buffer)).toEqual(await encoder.encode(rgb))
    }
  })

  test('encodes nothing again for a second run or another caption, and one picture when one is new', async () => {
    expect((await train()).encoded).toBe(0)
    const [item] = await project().dataset.items()
    await studio.services['dataset.editCaption']({ id: item!.id, caption: 'something else' }, call)
    expect((await train()).encoded).toBe(0)
    writeFileSync(join(pictures, 'noise 0.png'), await noisy(70, 'png')) // another picture in its place
    const options = { imageSize: 16, background: '#ffffff' }
    await ended(await studio.services['dataset.import']({ source: { kind: 'folder', path: pictures }, options }, call))
    expect((await train()).encoded).toBe(1)
  }, 30_000)

  test('keeps the mirror images as well for a recipe that shows them', async () => {
    expect((await train({ flip: true })).encoded).toBe(count)
  }, 20_000)

  test('makes an entry again that is damaged, says so and trains on', async () => {
    const root = project().folder.features
    const file = readdirSync(root, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.bin'))!
    const bytes = readFileSync(join(root, file))
    const size = 40 + 12 * 64 * 4
    for (let record = 0; record < bytes.length / size; record++) bytes[record * size + 100]! ^= 1
    writeFileSync(join(root, file), bytes)
    warned.length = 0
    expect((await train()).job).toMatchObject({ state: 'done' })
    expect(warned[0]).toMatch(/^The kept latents of picture [0-9a-f]+ were damaged; they are made again\.$/)
  }, 20_000)

  test('leaves out a picture whose pixels are not those that were imported, with the reason, and trains on the others', async () => {
    const [item] = (await project().dataset.items()).filter(({ split }) => split === 'train')
    const shard = project().dataset.shardPath(item!.shard)
    const bytes = readFileSync(shard)
    bytes[item!.slot * 16 * 16 * 3]! ^= 1
    writeFileSync(shard, bytes)
    rmSync(project().folder.features, { recursive: true })
    warned.length = 0
    expect((await train()).job).toMatchObject({ state: 'done' })
    expect(warned.join()).toContain(`1 of ${count} pictures cannot be encoded and are left out of the training; the first is ${item!.id}`)
    const { quarantined, entries: kept } = await studio.services['cache.describe'](null, call)
    expect(quarantined).toEqual([
      { source: item!.source, reason: 'Its training picture is not the one that was imported. Import it again.' },
    ])
    expect(kept).toBe(count - 1)
    bytes[item!.slot * 16 * 16 * 3]! ^= 1
    writeFileSync(shard, bytes)
    expect((await train()).encoded).toBe(1)
    expect((await studio.services['cache.describe'](null, call)).quarantined).toEqual([])
  }, 30_000)

  test('counts what nothing asks for any more, and deletes that and nothing else', async () => {
    const root = project().folder.features
    await train({ flip: true })
    expect(await studio.services['cache.describe'](null, call)).toMatchObject({ entries: 2 * count, orphans: 0, groups: [{ encoder: 'my autoencoder' }] }) // prettier-ignore
    mkdirSync(join(root, 'left by somebody'))
    writeFileSync(join(root, 'left by somebody', 'rest.bin'), 'x'.repeat(1000))
    writeFileSync(join(pictures, 'noise 1.png'), await noisy(71, 'png'))
    const options = { imageSize: 16, background: '#ffffff' }
    await ended(await studio.services['dataset.import']({ source: { kind: 'folder', path: pictures }, options }, call))
    const size = 40 + 12 * 64 * 4
    expect(await studio.services['cache.describe'](null, call)).toMatchObject({
      entries: 2 * count,
      orphans: 2,
      orphanBytes: 2 * size + 1000,
    })
    expect(await studio.services['cache.clean'](null, call)).toEqual({ entries: 2, sizeBytes: 2 * size + 1000 })
    expect(await studio.services['cache.describe'](null, call)).toMatchObject({ entries: 2 * count - 2, orphans: 0, orphanBytes: 0 })
    expect((await train({ flip: true })).encoded).toBe(2)
  }, 30_000)

  test('shows the round trip: channels, both pictures and that nothing is lost', async () => {
    const [item] = await project().dataset.items()
    const model = { kind: 'preset' as const, name: 'tiny' }
    const trip = (await studio.services['xray.roundTrip']({ id: item!.id, model }, call))!
    expect(trip).toMatchObject({ meanSquaredError: 0, psnr: null, largestDifference: 0, latents: { channels: 12, height: 8, width: 8 } })
    const pixels = async (url: string) => {
      const [path = '', query = ''] = url.split('?')
      return sharp((await resolveMedia(studio, path, new URLSearchParams(query)))!.bytes).removeAlpha().raw().toBuffer() // prettier-ignore
    }
    expect(await pixels(trip.decodedUrl)).toEqual(await pixels(trip.originalUrl))
    expect(new Set(await pixels(trip.differenceUrl))).toEqual(new Set([0]))
    expect(trip.latents.channelUrls.length).toBe(12)
    expect((await pixels(trip.latents.channelUrls[11]!)).length).toBe(8 * 8 * 3)
    expect(await resolveMedia(studio, `media/latents/${item!.id}/${autoencoder.hash.slice(0, 16)}/12`, new URLSearchParams())).toBeNull()
  })

  test('says in one sentence what does not fit', async () => {
    const { model } = recipe()
    expect((await train({ model: { ...model, channels: 4 } })).job.error?.message).toBe(
      'The model is for 4 channels, and the latents of "my autoencoder" have 12. Set the model\'s channels to 12 or choose another autoencoder.',
    )
    expect((await train({ model: { ...model, height: 16, width: 16 } })).job.error?.message).toMatch(
      /^The model is for pictures of 32 x 32 \(16 x 16 latents of 2 pixels each\), the data set holds 16 x 16\./,
    )
    expect((await train({ autoencoder: null, model: { ...model, height: 16, width: 16 } })).job.error?.message).toMatch(
      /names no autoencoder/,
    )
    const stranger = { ...autoencoder, hash: '0'.repeat(64), name: 'gone' }
    await expect(train({ autoencoder: stranger })).rejects.toThrow('The autoencoder "gone" of the recipe is not in this project.')
    await expect(studio.services['autoencoder.choose']({ path: pictures }, call)).rejects.toThrow(/^There is no autoencoder in/)
    await expect(studio.services['autoencoder.choose']({ path: '/etc' }, call)).rejects.toMatchObject({ code: 'bad-source' })
  }, 20_000)

  test('keeps an autoencoder that runs need when another is chosen or none, and forgets one that nobody needs', async () => {
    const lossy = await studio.services['autoencoder.choose']({ path: writeAutoencoder(join(home, 'lossy'), meanAutoencoder()) }, call)
    expect(lossy).toMatchObject({ channels: 3, factor: 2 })
    const [item] = await project().dataset.items()
    const model = { kind: 'preset' as const, name: 'tiny' }
    const trip = (await studio.services['xray.roundTrip']({ id: item!.id, model }, call))!
    expect(trip.psnr).toBeCloseTo(10 * Math.log10(255 ** 2 / trip.meanSquaredError), 6)
    expect(trip.meanSquaredError).toBeGreaterThan(100)
    await studio.services['autoencoder.remove'](null, call)
    expect(await studio.services['autoencoder.describe'](null, call)).toBeNull()
    expect(await studio.services['xray.roundTrip']({ id: item!.id, model }, call)).toBeNull()
    expect((await project().autoencoders.list()).map(({ name }) => name)).toEqual(['my autoencoder'])
  })
})
