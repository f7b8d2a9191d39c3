import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId, RunId } from '#contracts/project.ts'
import { mediaUrl } from '#contracts/studio.ts'
import type { ModelChoice } from '#contracts/xray.ts'
import { presets } from '#engine/presets.ts'
import { compose, type Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { trainingCrop } from '#main/media/training-crop.ts'
import { noisy, redBlue } from '#tests/fixtures/pictures.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const home = temporaryFolder()
const pictures = join(home, 'pictures')
const call = { signal: new AbortController().signal }
const tiny: ModelChoice = { kind: 'preset', name: 'tiny' }
let studio: Studio

/** Red tells the column and green the row, so that a pixel says where it came from. */
function map(width: number, height: number): Promise<Buffer> {
  const rgb = Buffer.from(
    Array.from({ length: width * height }, (_, i) => [
      ((i % width) * 255) / (width - 1),
      (Math.floor(i / width) * 255) / (height - 1),
      128,
    ]).flat(),
  )
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

beforeAll(async () => {
  mkdirSync(pictures)
  for (const [name, bytes] of Object.entries({
    'wide.png': await map(250, 100),
    'tall.png': await map(90, 151),
    'square.png': await redBlue(32, 32),
    'noise.png': await noisy(47, 'png'),
    'gone.png': await redBlue(40, 30),
    'changed.png': await redBlue(30, 40),
    'swapped.png': await redBlue(50, 40),
    'pipe.png': await noisy(48, 'png'),
  }))
    writeFileSync(join(pictures, name), bytes)
  studio = await compose({
    host: 'headless',
    settingsFolder: join(home, 'settings'),
    projectsFolder: join(home, 'projects'),
    allowedRoots: [pictures],
    launchEngine: () => {
      throw new StudioError('native-missing', 'There is no engine in this test.')
    },
  })
  await studio.services['projects.create']({ name: 'looks' }, call)
  const done = new Promise<void>((resolve) => {
    studio.subscribe(({ name, news }) => name === 'job.changed' && news.state === 'done' && resolve())
  })
  const source = { kind: 'folder' as const, path: pictures }
  await studio.services['dataset.import']({ source, options: { imageSize: 32, background: '#ffffff' } }, call)
  await done
})
afterAll(() => studio.close())

const items = () => studio.current()!.dataset.items()
const itemOf = async (source: string) => (await items()).find((item) => item.source === source)!
const describeItem = async (source: string, model: ModelChoice = tiny) =>
  studio.services['xray.describe']({ id: (await itemOf(source)).id, model }, call)
const fetched = (url: string) => {
  const [path = '', query = ''] = url.split('?')
  return resolveMedia(studio, path, new URLSearchParams(query))
}
const pixelsOf = async (bytes: Uint8Array) => new Uint8Array(await sharp(bytes).removeAlpha().raw().toBuffer())
const orderOf = (base64: string) => {
  const bytes = Buffer.from(base64, 'base64')
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(i * 4))
}

describe('the training picture that is shown', () => {
  test('is the very bytes that the trainer reads, for every picture', async () => {
    const { folder, dataset } = studio.current()!
    using reader = await openSnapshot(folder.dataset, await dataset.freeze())
    const all = await items()
    expect(reader.size).toBe(8)
    for (const [index, { source }] of all.entries()) {
      const { training } = await describeItem(source)
      const served = await fetched(training.pictureUrl)
      expect(served!.type).toBe('image/png')
      expect(await pixelsOf(served!.bytes)).toEqual(reader.image(index))
      expect([training.width, training.height]).toEqual([reader.imageSize, reader.imageSize])
    }
  })

  test('has another address when its bytes are others', async () => {
    const urls = await Promise.all((await items()).map(async ({ source }) => (await describeItem(source)).training.pictureUrl))
    expect(new Set(urls.map((url) => url.split('?')[1])).size).toBe(8)
  })
})

describe('the crop that is drawn', () => {
  test.each(['wide.png', 'tall.png'])('covers what the training picture shows, to within half a pixel: %s', async (source) => {
    const { crop, original, training } = await describeItem(source)
    const rgb = await pixelsOf((await fetched(training.pictureUrl))!.bytes)
    const middle = (place: number) => place + 0.5
    for (let i = 4; i < 28; i++) {
      const shown = { x: rgb[(16 * 32 + i) * 3]!, y: rgb[(i * 32 + 16) * 3 + 1]! }
      const expected = {
        x: ((crop.x + (middle(i) * crop.width) / 32 - 0.5) / (original.width - 1)) * 255,
        y: ((crop.y + (middle(i) * crop.height) / 32 - 0.5) / (original.height - 1)) * 255,
      }
      const halfPixel = (length: number) => (0.5 * 255) / (length - 1) + 1
      expect(Math.abs(shown.x - expected.x)).toBeLessThan(halfPixel(original.width))
      expect(Math.abs(shown.y - expected.y)).toBeLessThan(halfPixel(original.height))
    }
  })

  test('of a square picture is all of it', () => {
    expect(trainingCrop({ width: 700, height: 700 }, 32)).toEqual({ x: 0, y: 0, width: 700, height: 700 })
  })

  test('of a picture twice as wide as high is its middle half', () => {
    expect(trainingCrop({ width: 800, height: 400 }, 64)).toEqual({ x: 200, y: 0, width: 400, height: 400 })
  })
})

describe('the scan', () => {
  test('visits every token of every layer once, and eight zigzags take turns over the layers of the preset "tiny"', async () => {
    const { grid, orders, layers } = await describeItem('wide.png')
    expect(grid).toEqual({ rows: 8, columns: 8 })
    expect(layers.map((passes) => passes.map(({ order }) => order))).toEqual([[0], [1], [2], [3], [4], [5], [6], [7]])
    for (const { permutation } of orders)
      expect(orderOf(permutation).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i))
    expect(orderOf(orders[0]!.permutation).slice(0, 18)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 15, 14, 13, 12, 11, 10, 9, 8, 16, 17])
  })

  test('of the two-way baseline goes there and back in each of its layers', async () => {
    const { orders, layers } = await describeItem('wide.png', { kind: 'preset', name: 'sweep2_b1_pe2' })
    expect(layers).toHaveLength(24)
    expect(layers.every((passes) => passes.length === 2)).toBe(true)
    expect(orderOf(orders[1]!.permutation)).toEqual(orderOf(orders[0]!.permutation).reverse())
  })

  test.each(presets.map(({ name }) => name))('is there for the preset %s', async (name) => {
    const { grid, orders, layers, model } = await describeItem('square.png', { kind: 'preset', name })
    expect(model.space).toBe(model.channels === 3 ? 'pixels' : 'latents')
    for (const passes of layers)
      for (const { order } of passes) expect(orderOf(orders[order]!.permutation)).toHaveLength(grid.rows * grid.columns)
  })

  test('of a run is the one of its recipe', async () => {
    const { recipe } = presets[0]!
    const changed = { ...recipe, model: { ...recipe.model, patchSize: 8, depth: 3, scan: { kind: 'hilbert' as const, count: 2 } } }
    const { id } = await studio.services['training.start']({ name: 'own', recipe: changed }, call)
    const { grid, orders, layers, model } = await describeItem('wide.png', { kind: 'run', runId: id as RunId })
    expect([model.name, grid, layers.flat().map(({ order }) => order)]).toEqual(['own', { rows: 4, columns: 4 }, [0, 1, 0]])
    expect(orders.map(({ kind, number }) => `${kind} ${number}`)).toEqual(['hilbert 0', 'hilbert 1'])
  })
})

describe('the original', () => {
  test('is shown with its own pixels while its file is there', async () => {
    const { original } = await describeItem('square.png')
    const served = await fetched(original.pictureUrl!)
    expect(await pixelsOf(served!.bytes)).toEqual(await pixelsOf(await redBlue(32, 32)))
  })

  test('of a file that is gone, changed or replaced by a link to elsewhere or a pipe is said to be away, and nothing is read through it', async () => {
    const secret = join(home, 'secret.png')
    writeFileSync(secret, await redBlue(50, 40)) // even with the same content
    rmSync(join(pictures, 'gone.png'))
    writeFileSync(join(pictures, 'changed.png'), await redBlue(31, 40))
    rmSync(join(pictures, 'swapped.png'))
    symlinkSync(secret, join(pictures, 'swapped.png'))
    rmSync(join(pictures, 'pipe.png'))
    execFileSync('mkfifo', [join(pictures, 'pipe.png')])
    for (const [source, away] of [
      ['gone.png', 'gone'],
      ['changed.png', 'changed'],
      ['swapped.png', 'outside'],
    ] as const) {
      // prettier-ignore
      const { original, crop } = await describeItem(source)
      expect([source, original.away, original.pictureUrl]).toEqual([source, away, null])
      expect(crop.width).toBeGreaterThan(0)
      expect(await fetched(mediaUrl.original((await itemOf(source)).id))).toBeNull()
    }
  })
})

test('an unknown picture, preset or run is named in one sentence', async () => {
  const unknown = '0'.repeat(20) as ItemId
  await expect(studio.services['xray.describe']({ id: unknown, model: tiny }, call)).rejects.toMatchObject({
    message: `There is no picture "${unknown}" in the data set.`,
  })
  await expect(describeItem('wide.png', { kind: 'preset', name: 'huge' })).rejects.toMatchObject({
    message: expect.stringMatching(/^There is no preset "huge"\. Choose one of tiny, small,/) as string,
  })
})
