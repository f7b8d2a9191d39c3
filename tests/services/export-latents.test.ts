import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inLatents, type AutoencoderInfo } from '#contracts/autoencoder.ts'
import { exportRequest, type ExportRequest } from '#contracts/export.ts'
import type { Job } from '#contracts/job.ts'
import { latentsEncoder, latentsSource } from '#engine/ports.ts'
import { presets } from '#engine/presets.ts'
import { compose, type Studio } from '#main/compose.ts'
import { ExportLatents } from '#main/media/export/export-latents.ts'
import { FeatureCache } from '#main/store/feature-cache.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { meanAutoencoder, writeAutoencoder } from '#tests/support/tiny-autoencoders.ts'

const home = temporaryFolder()
const pictures = join(home, 'pictures')
const call = { signal: new AbortController().signal }
const size = 16
const half = size / 2
/** Colors of a picture's four quarters: above left and right, below left and right. */
const quarters = {
  a: [[255, 0, 51], [0, 255, 51], [0, 0, 204], [255, 255, 204]],
  b: [[51, 102, 0], [204, 153, 0], [0, 51, 255], [102, 204, 255]],
} as const // prettier-ignore
let studio: Studio
let autoencoder: AutoencoderInfo

beforeAll(async () => {
  mkdirSync(pictures)
  await addPicture('a', quarters.a)
  await addPicture('b', quarters.b)
  studio = await compose({
    host: 'cli',
    settingsFolder: join(home, 'settings'),
    projectsFolder: join(home, 'projects'),
    allowedRoots: [home],
  })
  await studio.services['projects.create']({ name: 'latents' }, call)
  await importAll()
})
afterAll(() => studio.close())

async function addPicture(name: string, colors: readonly (readonly number[])[]): Promise<void> {
  const rgb = Buffer.from(
    Array.from({ length: size * size }, (_, i) => colors[2 * Math.floor(i / size / half) + Math.floor((i % size) / half)]!).flat(),
  )
  const raw = { width: size, height: size, channels: 3 } as const
  await sharp(rgb, { raw })
    .png()
    .toFile(join(pictures, `${name}.png`))
}
const project = () => studio.context.project()
async function ended(job: { id: string }): Promise<Job> {
  for (;;) {
    const now = project().queue.list().find(({ id }) => id === job.id)! // prettier-ignore
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
async function importAll(): Promise<void> {
  const options = { imageSize: size, background: '#ffffff' }
  const job = await ended(await studio.services['dataset.import']({ source: { kind: 'folder', path: pictures }, options }, call))
  expect(job).toMatchObject({ state: 'done' })
}
/** Makes the latents of all pictures. */
async function train(): Promise<void> {
  const { recipe } = presets[0]!
  const model = { ...recipe.model, height: 8, width: 8, patchSize: 2, embedDim: 32, depth: 2 }
  const short = { ...recipe, model, batchSize: 2, steps: 1, checkpointEvery: 1, validateEvery: 1, sampleEvery: 1, samplePrompts: ['a'] }
  const run = await studio.services['training.start']({ name: 'run', recipe: inLatents(short, autoencoder) }, call)
  expect(await ended({ id: run.jobId! })).toMatchObject({ state: 'done' })
}
const requestOf = (name: string, over: Partial<ExportRequest> = {}) =>
  exportRequest.parse({ layout: 'zigma', splits: 'together', latents: true, folder: join(home, name), ...over })
const startExport = (name: string, over: Partial<ExportRequest> = {}) => studio.services['export.start'](requestOf(name, over), call)
async function exportTo(name: string, over: Partial<ExportRequest> = {}): Promise<Job> {
  return ended(await startExport(name, over))
}
const tarOf = (name: string) => join(home, name, 'train-000000.tar')
const namesIn = (name: string) => execFileSync('tar', ['tf', tarOf(name)], { encoding: 'utf8' }).trimEnd().split('\n') // prettier-ignore
const fileIn = (name: string, file: string) => execFileSync('tar', ['xOf', tarOf(name), file])

test('latents are refused, before anything is written, where there is no autoencoder or another program shall read the export', async () => {
  await expect(startExport('out')).rejects.toMatchObject({
    code: 'invalid-request',
    message: 'The project has no autoencoder, so its pictures have no latents. Choose one, or export without latents.',
  })
  const config = { scaling_factor: 0.25, shift_factor: 0.5 }
  const folder = writeAutoencoder(join(home, 'means'), meanAutoencoder(), config)
  autoencoder = await studio.services['autoencoder.choose']({ path: folder }, call)
  await expect(startExport('out', { layout: 'webdataset' })).rejects.toMatchObject({
    code: 'invalid-request',
    message: "Only ZigMa's own code reads latents beside the pictures. Choose its layout, or export without latents.",
  })
})

const missing = (count: number, of: number) => ({
  code: 'invalid-request',
  message: `${count} of ${of} pictures have no latents of "means" yet: start a training with it, which makes them before its first step and lists the pictures that it cannot encode (reject these), or export without latents.`,
})

test('pictures that have none yet are counted in one sentence that says what to do, when it is planned and when it is started', async () => {
  await expect(startExport('out')).rejects.toMatchObject(missing(2, 2))
  await expect(studio.services['export.forecast'](requestOf('out'), call)).rejects.toMatchObject(missing(2, 2))
  expect(await exportTo('without', { latents: false })).toMatchObject({ state: 'done' })
  expect(namesIn('without').some((name) => name.endsWith('.npy'))).toBe(false)

  await train()
  await addPicture('c', [...quarters.a].reverse())
  await importAll()
  await expect(startExport('out')).rejects.toMatchObject(missing(1, 3))
  const items = await project().dataset.items()
  const two = items.filter(({ source }) => source !== 'c.png').map(({ id }) => id)
  expect(await exportTo('two', { what: { kind: 'ids', ids: two } })).toMatchObject({ state: 'done', result: { totals: { items: 2 } } })
  expect(existsSync(join(home, 'out'))).toBe(false)
  await train()
}, 60_000)

test('every picture has its own beside it: float32 [channels, height, width], as the encoder gave them', async () => {
  expect(await exportTo('out')).toMatchObject({ state: 'done', result: { totals: { items: 3, leftOut: [] } } })
  const items = (await project().dataset.items()).toSorted((one, other) => (one.id < other.id ? -1 : 1))
  expect(namesIn('out')).toEqual(items.flatMap(({ id }) => [`${id}.image.png`, `${id}.caption.json`, `${id}.img_feature16.npy`]))

  const group = { kind: 'latents', encoder: latentsEncoder(autoencoder.hash), dtype: 'f32', shape: [3, half, half] } as const
  using kept = await FeatureCache.open(project().folder.features, { ...group, shape: [...group.shape] }, new SafeFs())
  for (const { id, source, pixelHash } of items) {
    const bytes = fileIn('out', `${id}.img_feature16.npy`)
    expect(bytes.toString('latin1', 0, 10)).toBe('\x93NUMPY\x01\x00v\x00')
    expect(bytes.toString('latin1', 10, 128)).toBe(`${"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8), }".padEnd(117)}\n`)
    expect(bytes.subarray(128).equals(kept.read(latentsSource(pixelHash, false))!)).toBe(true) // the very bytes that the trainer reads
    if (source === 'c.png') continue
    // The autoencoder keeps the mean of each square of 2 x 2 pixels: in a quarter of one color, that color in -1 to 1.
    const colors = quarters[source[0] as 'a' | 'b']
    for (let channel = 0; channel < 3; channel++)
      for (let y = 0; y < half; y++)
        for (let x = 0; x < half; x++) {
          const color = colors[2 * Math.floor(y / (half / 2)) + Math.floor(x / (half / 2))]![channel]!
          expect(bytes.readFloatLE(128 + 4 * ((channel * half + y) * half + x))).toBeCloseTo((color / 255) * 2 - 1, 6)
        }
  }
  const readme = readFileSync(join(home, 'out', 'README.md'), 'utf8')
  expect(readme).toContain(
    '`img_feature16.npy` is what the autoencoder "means" gives for the picture, float32 [3, 8, 8] and not scaled: the studio trains on (latent - 0.5) * 0.25',
  )
})

test('two exports with latents are the same, byte for byte, and the plan foretells their size', async () => {
  await exportTo('again')
  const hashes = (name: string) => globSync('*', { cwd: join(home, name) }).sort().map((file) => [file, sha256(readFileSync(join(home, name, file)))]) // prettier-ignore
  expect(hashes('again')).toEqual(hashes('out'))
  const { sizeBytes } = await studio.services['export.forecast'](requestOf('later'), call)
  const plain = await studio.services['export.forecast'](requestOf('later', { latents: false }), call)
  expect(sizeBytes - plain.sizeBytes).toBe(3 * (512 + 1024)) // header of 128 bytes and 3 x 8 x 8 numbers are two blocks, and one says their name
})

test('latents that are damaged on the disk are told and never exported', async () => {
  const [shard] = globSync('latents-*/*.bin', { cwd: project().folder.features })
  const path = join(project().folder.features, shard!)
  const sound = readFileSync(path)
  const broken = Buffer.from(sound)
  broken[60]! ^= 1
  writeFileSync(path, broken)
  expect(await exportTo('damaged')).toMatchObject({ state: 'done', result: { totals: { items: 2, leftOut: [{ reason: 'damaged', items: 1 }] } } }) // prettier-ignore
  expect(namesIn('damaged').filter((name) => name.endsWith('.npy'))).toHaveLength(2)
  expect(readFileSync(join(home, 'damaged', 'left-out.jsonl'), 'utf8')).toContain('Its latents are damaged on the disk.')
  writeFileSync(path, sound)
})

test('the cache is not cleaned while an export reads it', async () => {
  const { promise: cleaned, resolve } = Promise.withResolvers<unknown>()
  const stop = studio.subscribe(({ name, news }) => {
    if (name === 'job.changed' && news.payload.kind === 'export' && news.state === 'running')
      resolve(studio.services['cache.clean'](null, call).catch((error: unknown) => error))
  })
  const job = await startExport('reads')
  expect(await cleaned).toMatchObject({ code: 'invalid-request', message: 'An export reads the cache now. Clean when it has ended.' })
  stop()
  expect(await ended(job)).toMatchObject({ state: 'done' })
})

test('latents that are kept in 16 bits are exported in 32, the same numbers', async () => {
  const root = temporaryFolder()
  const info: AutoencoderInfo = { ...autoencoder, dtype: 'f16', channels: 4, factor: 8 }
  using cache = await FeatureCache.open(root, { kind: 'latents', encoder: latentsEncoder(info.hash), dtype: 'f16', shape: [4, 1, 1] }, new SafeFs()) // prettier-ignore
  // float16: 1, -2, the largest number and the smallest above zero
  await cache.write(latentsSource('pixels', false), new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001).buffer))
  await cache.flush()
  const { name, bytes } = (await ExportLatents.open(root, info, 8)).file({ pixelHash: 'pixels' })!
  const npy = Buffer.from(bytes as Uint8Array)
  expect(name).toBe('img_feature8.npy')
  expect([0, 4, 8, 12].map((at) => npy.readFloatLE(128 + at))).toEqual([1, -2, 65504, 2 ** -24])
})
