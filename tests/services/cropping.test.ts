import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { curationQuery, type Crop, type CurationItem } from '#contracts/curation.ts'
import type { Job } from '#contracts/job.ts'
import type { ItemId } from '#contracts/project.ts'
import { mediaUrl } from '#contracts/studio.ts'
import { presets } from '#engine/presets.ts'
import type { Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { sha256 } from '#main/store/safe-fs.ts'
import { plain, scene } from '#tests/fixtures/pictures.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const context = { signal: new AbortController().signal }
const edge = 16

/** Red tells the column and green the row, a bright spot where there is most to see: a pixel says where it came from. */
async function map(width: number, height: number, spot?: { x: number; y: number }): Promise<Buffer> {
  const rgb = Buffer.from(
    Array.from({ length: width * height }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)]
      if (spot && Math.hypot(x - spot.x, y - spot.y) < 12) return [255, 40, (x + y) % 2 ? 255 : 0]
      return [(x * 255) / (width - 1), (y * 255) / (height - 1), 128]
    }).flat(),
  )
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

async function studioOf(files: Record<string, Buffer>, { folder = temporaryFolder(), background = '#ffffff' } = {}) {
  const pictures = join(folder, 'pictures')
  mkdirSync(pictures, { recursive: true })
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(pictures, name), bytes)
  const studio = await curatedStudio([], { folder, imageSize: edge })
  const bring = async () => {
    const request = { source: { kind: 'folder' as const, path: pictures }, options: { imageSize: edge, background } }
    return ended(studio, await studio.services['dataset.import'](request, context))
  }
  expect(await bring()).toMatchObject({ state: 'done' })
  return { studio, folder, pictures, bring }
}

async function ended(studio: Studio, job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context
      .project()
      .queue.list()
      .find(({ id }) => id === job.id)!
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const picture = (seed: number) => scene(seed, 160, 120)
const project = (studio: Studio) => studio.context.project()
const all = async (studio: Studio, text = '') =>
  (await studio.services['curation.query'](curationQuery.parse({ filter: { text }, limit: 500, sort: 'source' }), context))
    .items as CurationItem[]
const itemOf = async (studio: Studio, source: string) => (await all(studio)).find((item) => item.source === source)!
const settle = (studio: Studio) => project(studio).cropping.idle()
async function cropTo(studio: Studio, ids: ItemId[], crop: Crop | null): Promise<void> {
  await studio.services['curation.edit']({ target: { kind: 'ids', ids }, change: { kind: 'set', marks: { crop } } }, context)
  await settle(studio)
}
const pixelsOf = async (bytes: Uint8Array) => new Uint8Array(await sharp(bytes).removeAlpha().raw().toBuffer())
async function served(studio: Studio, url: string): Promise<Uint8Array> {
  const [path = '', query = ''] = url.split('?')
  return pixelsOf((await resolveMedia(studio, path, new URLSearchParams(query)))!.bytes)
}
/** What the trainer reads of an item, from a snapshot frozen now. */
async function trained(studio: Studio, id: ItemId): Promise<Uint8Array> {
  const { folder, dataset } = project(studio)
  const items = (await dataset.items()).filter(({ pick }) => pick !== 'reject')
  using reader = await openSnapshot(folder.dataset, await dataset.freeze())
  return reader.image(items.findIndex((item) => item.id === id))
}
const jobsOf = (studio: Studio) =>
  project(studio)
    .queue.list()
    .filter(({ payload }) => payload.kind === 'crop')

describe('the pixels of a crop', () => {
  const sideways = [3, 6, 8].map((orientation) => [`turned ${orientation}`, orientation] as const)
  test.each([['as it is', null] as const, ...sideways])(
    'are what the item address, the X-ray and the trainer give, by hand, smart and centered: a picture that lies %s',
    async (_, orientation) => {
      const upright = await map(90, 60, { x: 72, y: 30 })
      // Stored as a camera stores it: turned, with a note how to turn it back.
      const turns: Record<number, number> = { 3: 180, 6: 270, 8: 90 }
      const file = orientation
        ? await sharp(await sharp(upright).rotate(turns[orientation]).png().toBuffer())
            .withMetadata({ orientation })
            .png()
            .toBuffer()
        : upright
      const { studio } = await studioOf({ 'a.png': file, 'b.png': await plain(20, 20) })
      const { id, width, height } = await itemOf(studio, 'a.png')
      expect([width, height]).toEqual([90, 60])
      const seen = new Set<string>()
      for (const crop of [
        { kind: 'rectangle', x: 10, y: 20, width: 30, height: 30 },
        { kind: 'rectangle', x: 4, y: 6, width: 50, height: 20 },
        { kind: 'smart' },
        { kind: 'center' },
      ] satisfies Crop[]) {
        await cropTo(studio, [id], crop)
        const item = await itemOf(studio, 'a.png')
        expect(item.pixels).toMatchObject({ state: 'made', away: null })
        const xray = await studio.services['xray.describe']({ id, model: { kind: 'preset', name: 'tiny' } }, context)
        const shown = await served(studio, xray.training.pictureUrl)
        expect(await served(studio, mediaUrl.item(id, { version: item.pixels.version }))).toEqual(shown)
        expect(await trained(studio, id)).toEqual(shown)
        expect(sha256(shown).startsWith(item.pixels.version)).toBe(true)
        expect((await studio.services['curation.cropArea']({ id, crop }, context)).area).toEqual(xray.crop)
        // And they show that part of the picture: the color of the middle of its first and last row says where it lies.
        const { x, y, width: wide, height: high } = xray.crop
        expect(wide).toBeCloseTo(high, 0)
        expect(shown).toEqual(await served(studio, mediaUrl.cropped(id, crop))) // as it was tried on
        if (crop.kind === 'rectangle') {
          for (const [column, row] of [
            [1, 1],
            [edge - 2, edge - 2],
          ] as const) {
            // prettier-ignore
            const at = (row * edge + column) * 3
            expect(Math.abs(shown[at]! - ((x + ((column + 0.5) * wide) / edge - 0.5) / 89) * 255)).toBeLessThan(4)
            expect(Math.abs(shown[at + 1]! - ((y + ((row + 0.5) * high) / edge - 0.5) / 59) * 255)).toBeLessThan(6)
          }
        }
        if (crop.kind === 'smart') expect(x + wide).toBeGreaterThan(84) // the spot lies at 72 of 90, and a square has 60
        if (crop.kind === 'rectangle' && crop.width === 50) expect(xray.crop).toEqual({ x: 19, y: 6, width: 20, height: 20 })
        seen.add(item.pixels.version)
      }
      expect(seen.size).toBe(4)
      await studio.close()
    },
  )

  test('are taken back and done again bit for bit, each made once', async () => {
    const { studio, pictures } = await studioOf({ 'a.png': await picture(1), 'b.png': await picture(2) })
    const { id } = await itemOf(studio, 'a.png')
    const { dataset } = project(studio)
    const before = await trained(studio, id)
    const name = (await studio.services['dataset.describe'](null, context)).snapshot
    await cropTo(studio, [id], { kind: 'rectangle', x: 100, y: 10, width: 45, height: 45 })
    const first = await trained(studio, id)
    const cropped = (await studio.services['dataset.describe'](null, context)).snapshot
    await cropTo(studio, [id], { kind: 'smart' })
    const second = await trained(studio, id)
    expect(new Set([before, first, second].map(sha256)).size).toBe(3)
    rmSync(pictures, { recursive: true }) // what was made once needs no original
    for (const [step, pixels, snapshot] of [
      ['curation.undo', first, cropped],
      ['curation.undo', before, name],
      ['curation.redo', first, cropped],
      ['curation.redo', second, null],
      ['curation.undo', first, cropped],
    ] as const) {
      await studio.services[step](null, context)
      await settle(studio)
      expect(await trained(studio, id)).toEqual(pixels)
      expect((await itemOf(studio, 'a.png')).pixels.state).toBe('made')
      const now = (await studio.services['dataset.describe'](null, context)).snapshot
      if (snapshot) expect(now).toBe(snapshot)
      expect(now).toBe(await dataset.freeze())
    }
    expect(statSync(dataset.shardPath(1_000_000)).size).toBe(2 * edge * edge * 3) // one record a crop, and no more
    await studio.close()
  })

  test('stand on the background that the import put behind a transparent picture', async () => {
    const clear = await sharp({ create: { width: 40, height: 20, channels: 4, background: '#00000000' } }).png().toBuffer() // prettier-ignore
    const { studio } = await studioOf({ 'a.png': clear }, { background: '#ff8000' })
    const { id } = await itemOf(studio, 'a.png')
    await cropTo(studio, [id], { kind: 'rectangle', x: 0, y: 0, width: 20, height: 20 })
    expect([...(await trained(studio, id)).subarray(0, 3)]).toEqual([255, 128, 0])
    await studio.close()
  })

  test('outlive an index that is lost, and an import of the same source again', async () => {
    const { studio, folder, bring } = await studioOf({ 'a.png': await picture(1), 'b.png': await picture(2), 'c.png': await picture(3) })
    const { id } = await itemOf(studio, 'b.png')
    await cropTo(studio, [id], { kind: 'rectangle', x: 5, y: 6, width: 77, height: 78 })
    const pixels = await trained(studio, id)
    writeFileSync(join(folder, 'pictures', 'b.txt'), 'a caption that is new')
    expect(await bring()).toMatchObject({ state: 'done' })
    expect((await itemOf(studio, 'b.png')).caption).toBe('a caption that is new')
    expect(await trained(studio, id)).toEqual(pixels)
    const summary = await studio.services['dataset.describe'](null, context)
    const { root } = project(studio).folder
    await studio.close()
    for (const end of ['', '-wal', '-shm']) rmSync(join(root, `library.db${end}`), { force: true })
    const again = await curatedStudio([], { folder, imageSize: edge })
    expect(await again.services['dataset.describe'](null, context)).toEqual(summary)
    expect((await itemOf(again, 'b.png')).pixels.state).toBe('made')
    expect(await trained(again, id)).toEqual(pixels)
    await again.close()
  })

  test('give a snapshot one name whatever the order of import and of edits', async () => {
    const files = { 'a.png': await picture(1), 'b.png': await picture(2), 'c.png': await picture(3) }
    const crops: Record<string, Crop> = { 'a.png': { kind: 'smart' }, 'c.png': { kind: 'rectangle', x: 9, y: 9, width: 99, height: 99 } }
    const names = new Set<string | null>()
    for (const order of [
      ['a.png', 'b.png', 'c.png'],
      ['c.png', 'a.png', 'b.png'],
    ] as const) {
      // prettier-ignore
      const { studio, bring } = await studioOf({ [order[0]]: files[order[0]] })
      for (const name of order.slice(1)) {
        writeFileSync(join(project(studio).folder.root, '..', 'pictures', name), files[name])
        await bring()
      }
      for (const name of order) if (crops[name]) await cropTo(studio, [(await itemOf(studio, name)).id], crops[name])
      names.add((await studio.services['dataset.describe'](null, context)).snapshot)
      names.add(await project(studio).dataset.freeze())
      await studio.close()
    }
    expect(names.size).toBe(1)
  })
})

describe('an original that is away', () => {
  test('leaves the item its pixels and says why, until it is there again', async () => {
    const { studio, pictures } = await studioOf({ 'a.png': await picture(1), 'b.png': await picture(2) })
    const { id } = await itemOf(studio, 'a.png')
    await cropTo(studio, [id], { kind: 'rectangle', x: 0, y: 0, width: 50, height: 50 })
    const before = await trained(studio, id)
    renameSync(pictures, `${pictures} elsewhere`)
    await cropTo(studio, [id], { kind: 'rectangle', x: 60, y: 40, width: 60, height: 60 })
    expect((await itemOf(studio, 'a.png')).pixels).toMatchObject({ state: 'away', away: 'gone' })
    expect(await trained(studio, id)).toEqual(before)
    const { crop } = await studio.services['xray.describe']({ id, model: { kind: 'preset', name: 'tiny' } }, context)
    expect(crop).toEqual({ x: 0, y: 0, width: 50, height: 50 }) // what is drawn is what is trained on
    expect(await studio.services['curation.cropsLeft'](null, context)).toEqual({ waiting: 0, away: 1 })
    expect((await all(studio, 'crop:away')).map(({ source }) => source)).toEqual(['a.png'])
    renameSync(`${pictures} elsewhere`, pictures)
    const job = await ended(studio, await studio.services['curation.makeCrops'](null, context))
    expect(job.result).toEqual({ kind: 'crop', made: 1, missing: 0 })
    expect((await itemOf(studio, 'a.png')).pixels.state).toBe('made')
    expect(await trained(studio, id)).not.toEqual(before)
    await studio.close()
  })

  test('or another picture now is not used in place of the one that was imported', async () => {
    const { studio, pictures } = await studioOf({ 'a.png': await picture(1), 'b.png': await picture(2) })
    const { id } = await itemOf(studio, 'a.png')
    const before = await trained(studio, id)
    writeFileSync(join(pictures, 'a.png'), await picture(9))
    await cropTo(studio, [id], { kind: 'smart' })
    expect((await itemOf(studio, 'a.png')).pixels).toMatchObject({ state: 'away', away: 'changed' })
    expect(await trained(studio, id)).toEqual(before)
    await studio.close()
  })
})

describe('crops of many items', () => {
  test('are a job that can be cancelled and goes on where it was; no training starts on pictures that are not as they are said to be', async () => {
    const files = Object.fromEntries(
      await Promise.all(Array.from({ length: 12 }, async (_, n): Promise<[string, Buffer]> => [`${n}.png`, await scene(n + 1, 60, 40)])),
    )
    const { studio } = await studioOf(files)
    const { queue } = project(studio)
    queue.pause('now')
    const ids = (await all(studio)).map(({ id }) => id)
    await cropTo(studio, ids, { kind: 'smart' })
    await cropTo(studio, [ids[0]!], { kind: 'rectangle', x: 0, y: 0, width: 20, height: 20 }) // few need no job
    expect((await itemOf(studio, '0.png')).pixels.state).toBe('made')
    expect(await studio.services['curation.cropsLeft'](null, context)).toEqual({ waiting: 11, away: 0 })
    expect([await all(studio, 'crop:waiting'), await all(studio, 'crop:smart')].map(({ length }) => length)).toEqual([11, 11])
    expect(jobsOf(studio).map(({ state }) => state)).toEqual(['queued'])
    const start = () => studio.services['training.start']({ name: 'own', recipe: presets[0]!.recipe }, context)
    await expect(start()).rejects.toMatchObject({
      message: 'The training pictures of 11 cropped pictures are not made yet. Let them be made (Curate says how many wait), or take the crops back.', // prettier-ignore
    })
    await studio.services['queue.cancel']({ id: jobsOf(studio)[0]!.id }, context)
    expect(await studio.services['curation.cropsLeft'](null, context)).toMatchObject({ waiting: 11 })
    queue.resume()
    const job = await ended(studio, await studio.services['curation.makeCrops'](null, context))
    expect(job).toMatchObject({ state: 'done', result: { made: 11, missing: 0 }, progress: { done: 11, total: 11 } })
    expect((await all(studio)).map(({ pixels }) => pixels.state)).toEqual(ids.map(() => 'made'))
    expect((await start()).name).toBe('own')

    await studio.services['curation.undo'](null, context)
    await settle(studio)
    await studio.services['curation.undo'](null, context)
    await settle(studio)
    await Promise.all(jobsOf(studio).map((one) => ended(studio, one)))
    const { dataset } = project(studio)
    expect(statSync(dataset.shardPath(1_000_000)).size).toBe(13 * edge * edge * 3) // of the first a rectangle and, once that was taken back, a smart crop
    expect((await all(studio)).every(({ crop, pixels }) => crop.kind === 'center' && pixels.state === 'made')).toBe(true)
    expect(readFileSync(dataset.crops.path, 'utf8').trim().split('\n')).toHaveLength(13 + 12)
    await studio.close()
  })

  test('that a studio did not get to are made by the next', async () => {
    const { studio, folder } = await studioOf({ 'a.png': await picture(1) })
    const { id } = await itemOf(studio, 'a.png')
    const { dataset } = project(studio)
    await studio.close()
    // As an older studio, or one that was killed just then, leaves it.
    await dataset.journal.addEdit('set', [id], { crop: { was: { same: null }, now: { same: { kind: 'smart' } } } })
    const next = await curatedStudio([], { folder, imageSize: edge })
    await expect.poll(async () => (await itemOf(next, 'a.png')).pixels.state).toBe('made')
    expect((await itemOf(next, 'a.png')).crop.kind).toBe('smart')
    await next.close()
  })
})
