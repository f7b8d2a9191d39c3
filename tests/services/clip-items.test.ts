import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, expect, test } from 'vitest'
import type { Job } from '#contracts/job.ts'
import { ledgerFilter } from '#contracts/ledger.ts'
import type { ItemId, JobId } from '#contracts/project.ts'
import { mediaUrl } from '#contracts/studio.ts'
import { clipOptions } from '#contracts/video.ts'
import { compose, type Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { redBlue } from '#tests/fixtures/pictures.ts'
import { tar } from '../support/archives.ts'
import { fakeEngine } from '../support/fake-engine.ts'
import { makeCounter, makePattern, makePlaylist } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { exactAutoencoder, writeAutoencoder } from '../support/tiny-autoencoders.ts'

const home = temporaryFolder()
const call = { signal: new AbortController().signal }
const options = {
  imageSize: 32,
  background: '#ffffff',
  clips: { frames: 8, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null },
}
const studios: Studio[] = []
afterAll(() => Promise.all(studios.map((studio) => studio.close())))

const counter = makeCounter(join(home, 'counter.mp4'), 20)
const pattern = makePattern(join(home, 'pattern.mp4'), { frames: 16, rate: 8, size: '96x48' })
const picture = await redBlue(40, 30)

/** A folder with two pictures, three videos of which one is broken, a list of captions and a file that is none of these. */
function mixed(name: string): string {
  const folder = join(home, name)
  mkdirSync(join(folder, 'b'), { recursive: true })
  writeFileSync(join(folder, 'a.png'), picture)
  writeFileSync(join(folder, 'b', 'bad.png'), 'not a picture')
  copyFileSync(counter, join(folder, 'counter.mp4'))
  copyFileSync(pattern, join(folder, 'b', 'pattern.mov'))
  writeFileSync(join(folder, 'broken.mp4'), 'not a video')
  writeFileSync(join(folder, 'notes.md'), '# notes')
  const rows = [
    { file_name: 'a.png', text: 'red over blue' },
    { file_name: 'counter.mp4', text: 'grays that rise', tags: 'gray, rising' },
  ]
  writeFileSync(join(folder, 'metadata.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  writeFileSync(join(folder, 'b', 'pattern.txt'), 'a pattern moves')
  return folder
}

async function newStudio(): Promise<Studio> {
  const own = temporaryFolder()
  const studio = await compose({
    ...{ host: 'cli', launchEngine: fakeEngine().launch, allowedRoots: [home] },
    ...{ settingsFolder: join(own, 'settings'), projectsFolder: join(own, 'projects') },
  })
  studios.push(studio)
  await studio.services['projects.create']({ name: 'Both' }, call)
  return studio
}

async function ended({ context }: Studio, job: { id: string }): Promise<Job> {
  for (;;) {
    const now = context.project().queue.get(job.id as JobId)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function bringIn(studio: Studio, path: string): Promise<Job> {
  return ended(studio, await studio.services['dataset.import']({ source: { kind: 'folder', path }, options }, call))
}

const found = async ({ services }: Studio, text: string) => {
  const filter = { text, buckets: [] }
  return (await services['curation.query']({ filter, sort: 'source', descending: false, offset: 0, limit: 100 }, call)).items
}

const folder = mixed('mixed')
const studio = await newStudio()
const first = await bringIn(studio, folder)

test('a folder of pictures and videos is one ledger whose totals add up', async () => {
  expect(first).toMatchObject({ state: 'done', result: { totals: { found: 6, used: 1, partial: 2, rejected: 3 } } })
  const summary = await studio.services['dataset.describe'](null, call)
  expect(summary).toMatchObject({ items: 5, clips: 4, totals: { found: 6, used: 1, partial: 2, rejected: 3 } })
  expect(summary.roots).toMatchObject([{ found: 6, items: 5 }])
  const { entries } = await studio.services['dataset.ledger']({ offset: 0, limit: 100, state: null }, call)
  const told = Object.fromEntries(entries.map(({ source, state, reason }) => [source, [state, reason]]))
  expect(told).toEqual({
    'a.png': ['partial', 'cropped'],
    'b/bad.png': ['rejected', 'unsupported-format'],
    'notes.md': ['rejected', 'not-a-picture'],
    'broken.mp4': ['rejected', 'unsupported-format'],
    'counter.mp4': ['partial', 'frames-dropped'],
    'b/pattern.mov': ['used', null],
  })
  expect(await studio.context.project().dataset.describe()).toEqual(summary)
})

test('a video on its own is a source, and what is only called like one ends in the ledger with the reason', async () => {
  const own = join(home, 'single')
  mkdirSync(own)
  const other = await newStudio()
  const film = makePattern(join(own, 'red film.mp4'), { frames: 16 })
  writeFileSync(join(own, 'red film.txt'), 'a red film')
  expect(await other.services['dataset.recognize']({ kind: 'file', path: film }, call)).toEqual({
    container: 'video',
    layout: 'plain',
    description: 'one video',
  })
  expect(await bringIn(other, film)).toMatchObject({ result: { totals: { found: 1, used: 1, partial: 0, rejected: 0 } } })
  expect((await found(other, 'kind:clip')).map(({ caption, source }) => [caption, source])).toEqual([
    ['a red film', 'red film.mp4'],
    ['a red film', 'red film.mp4'],
  ])
  const playlist = makePlaylist(join(own, 'list.mp4'), film)
  expect(await bringIn(other, playlist)).toMatchObject({ result: { totals: { found: 1, used: 0, partial: 0, rejected: 1 } } })
  const { entries } = await other.services['dataset.ledger']({ offset: 0, limit: 100, state: 'rejected' }, call)
  expect(entries).toMatchObject([{ source: 'list.mp4', reason: 'unsupported-format' }])
})

test('a video on its own can be looked at and cut otherwise, in place of what it was cut to, with the caption beside it', async () => {
  const own = join(home, 'otherwise')
  mkdirSync(own)
  const other = await newStudio()
  const film = makePattern(join(own, 'film.mp4'), { frames: 30 })
  writeFileSync(join(own, 'film.txt'), 'patterns that move')
  await bringIn(other, film)
  const [line] = (await other.services['ledger.list']({ filter: ledgerFilter.parse({}), offset: 0, limit: 10 }, call)).entries
  expect(line).toMatchObject({ root: film, source: 'film.mp4', state: 'partial', reason: 'frames-dropped', fixes: ['cut-video'] })
  expect(await other.services['video.list']({ path: film }, call)).toMatchObject([{ source: 'film.mp4' }])
  const before = await found(other, 'kind:clip')
  const options = clipOptions.parse({ imageSize: 32, rules: { frames: 10 } })
  const job = (await other.services['video.import']({ path: film, options }, call)) as Job
  expect(await ended(other, job)).toMatchObject({ state: 'done', result: { totals: { found: 1, used: 1, partial: 0 } } })
  const after = await found(other, 'kind:clip')
  expect(before.map(({ clip }) => clip?.frames)).not.toEqual([10, 10, 10])
  expect(after.map(({ caption, clip }) => [caption, clip?.frames])).toEqual(Array.from({ length: 3 }, () => ['patterns that move', 10]))
  expect(await other.services['video.ledger']({ offset: 0, limit: 10, state: null, path: film }, call)).toMatchObject({ total: 1 })
  await expect(other.services['video.list']({ path: join(own, 'film.txt') }, call)).rejects.toMatchObject({ code: 'bad-source' })
})

test('captions and tags of lists and of files beside videos come to the clips', async () => {
  const clips = await found(studio, 'kind:clip')
  expect(clips.map(({ source, caption, tags }) => [source, caption, tags])).toEqual([
    ['b/pattern.mov', 'a pattern moves', []],
    ['b/pattern.mov', 'a pattern moves', []],
    ['counter.mp4', 'grays that rise', ['gray', 'rising']],
    ['counter.mp4', 'grays that rise', ['gray', 'rising']],
  ])
  expect(clips[0]).toMatchObject({ width: 96, height: 48, clip: { frames: 8, frameRate: 8, stride: 1, firstFrame: 0, lastFrame: 7 } })
  expect(clips.map(({ split }) => split)).toEqual(['train', 'train', 'train', 'train'])
})

test('clips are asked for by their frames, their length and their rate, and no picture answers', async () => {
  const count = async (text: string) => (await found(studio, text)).length
  expect(
    await Promise.all(['frames>=8', 'frames>8', 'seconds<0.5', 'seconds:1', 'fps:8', 'kind:picture', 'NOT kind:clip'].map(count)),
  ).toEqual([4, 0, 2, 2, 2, 1, 1])
})

test('marks are set on clips as on pictures, and a caption that is edited names another snapshot', async () => {
  const [clip] = await found(studio, 'kind:clip')
  const before = (await studio.services['dataset.describe'](null, call)).snapshot
  const marks = { rating: 4, caption: 'said by hand', tags: ['moving'], consent: 'given' as const, split: 'test' as const }
  await studio.services['curation.edit']({ target: { kind: 'ids', ids: [clip!.id as ItemId] }, change: { kind: 'set', marks } }, call)
  expect(await studio.services['curation.get']({ id: clip!.id as ItemId }, call)).toMatchObject(marks)
  expect((await studio.services['dataset.describe'](null, call)).snapshot).not.toBe(before)
  await studio.services['curation.undo'](null, call)
  expect((await studio.services['dataset.describe'](null, call)).snapshot).toBe(before)
})

const cropTo = (ids: string[], marks: { crop: { kind: 'smart' } | null; rating?: number }) =>
  studio.services['curation.edit']({ target: { kind: 'ids', ids: ids as ItemId[] }, change: { kind: 'set', marks } }, call)

test('a crop of a clip is refused in one sentence, and taking one back is not', async () => {
  const [clip] = await found(studio, 'kind:clip')
  const history = await studio.services['curation.history'](null, call)
  await expect(cropTo([clip!.id], { crop: { kind: 'smart' } })).rejects.toThrow(
    'Crops are for pictures, and this is a clip, which keeps its frame. Choose pictures.',
  )
  expect(await studio.services['curation.history'](null, call)).toEqual(history)
  expect(await cropTo([clip!.id], { crop: null })).toMatchObject({ changed: 0, uncropped: 0 })
})

test('a crop of pictures and clips together is a crop of the pictures, and the clips are counted', async () => {
  const all = await found(studio, '')
  const ids = all.map(({ id }) => id)
  expect(await cropTo(ids, { crop: { kind: 'smart' }, rating: 3 })).toMatchObject({ matched: 5, changed: 5, uncropped: 4 })
  const after = await found(studio, 'rating:3')
  expect(after.map(({ crop, clip }) => [crop.kind, clip !== null])).toEqual([
    ['smart', false],
    ...Array.from({ length: 4 }, () => ['center', true]),
  ])
  await studio.services['curation.undo'](null, call)
  expect((await found(studio, '')).map(({ crop, rating }) => [crop, rating])).toEqual(all.map(({ crop, rating }) => [crop, rating]))
  await studio.context.project().cropping.idle()
})

test('a frame that is shown is the bytes of the shard, and the tile is the first of them', async () => {
  const { dataset } = studio.context.project()
  const clip = (await dataset.items()).find(({ clip: one }) => one)!
  const shard = readFileSync(dataset.clips.shardPath(clip.clip!.shard))
  const bytes = 32 * 32 * 3
  const shown = async (url: string) => {
    const { bytes: png } = (await resolveMedia(studio, url, new URLSearchParams()))!
    return new Uint8Array(await sharp(png).removeAlpha().raw().toBuffer())
  }
  for (const frame of [0, 3, 7]) {
    const at = (clip.slot + frame) * bytes
    expect(await shown(mediaUrl.clip(clip.id, frame))).toEqual(new Uint8Array(shard.subarray(at, at + bytes)))
  }
  expect(await shown(mediaUrl.item(clip.id))).toEqual(await shown(mediaUrl.clip(clip.id, 0)))
  expect(await resolveMedia(studio, mediaUrl.clip(clip.id, 8), new URLSearchParams())).toBeNull()
})

test('the way through the autoencoder begins with exactly the frame of the clip that is asked for', async () => {
  const path = writeAutoencoder(join(home, 'autoencoder'), exactAutoencoder())
  await studio.services['autoencoder.choose']({ path }, call)
  const [clip] = await found(studio, 'kind:clip source:counter')
  const ask = { id: clip!.id as ItemId, model: { kind: 'preset' as const, name: 'tiny' } }
  const shown = async (address: string) => {
    const [at = '', query = ''] = address.split('?')
    return sharp((await resolveMedia(studio, at, new URLSearchParams(query)))!.bytes)
      .removeAlpha()
      .raw()
      .toBuffer()
  }
  const decoded: Buffer[] = []
  for (const frame of [0, 5]) {
    const trip = (await studio.services['xray.roundTrip']({ ...ask, frame }, call))!
    expect(trip).toMatchObject({ psnr: null, originalUrl: mediaUrl.clip(clip!.id, frame) })
    decoded.push(await shown(trip.decodedUrl))
    expect(decoded.at(-1)).toEqual(await shown(trip.originalUrl)) // the engine of this test gives back what it is given
  }
  expect(decoded[0]).not.toEqual(decoded[1])
  await expect(studio.services['xray.roundTrip']({ ...ask, frame: 8 }, call)).rejects.toThrow(
    'The clip has 8 frames, and there is no frame 9. Choose an earlier one.',
  )
})

test('a snapshot freezes the clips and a training on pictures sees none of them', async () => {
  const { dataset, folder: own } = studio.context.project()
  const name = await dataset.freeze()
  expect(name).toBe((await studio.services['dataset.describe'](null, call)).snapshot)
  const frozen = readFileSync(join(own.dataset, 'snapshots', `${name}.jsonl`), 'utf8')
  expect(frozen.trim().split('\n')).toHaveLength(5)
  using reader = await openSnapshot(own.dataset, name)
  expect([reader.size, reader.captions]).toEqual([1, [['red over blue']]])
})

test('the same files in another order of import are the same snapshot', async () => {
  const other = await newStudio()
  const parts = mixed('mixed in parts')
  mkdirSync(join(home, 'late'))
  renameSync(join(parts, 'a.png'), join(home, 'late', 'a.png'))
  writeFileSync(join(home, 'late', 'a.txt'), 'red over blue')
  await bringIn(other, parts)
  await bringIn(other, join(home, 'late'))
  const snapshotOf = async (one: Studio) => (await one.services['dataset.describe'](null, call)).snapshot
  expect(await snapshotOf(other)).toBe(await snapshotOf(studio))
})

test('what an import finds again is not done again, but for what is said of it', async () => {
  const { dataset } = studio.context.project()
  const lines = () => readFileSync(dataset.clips.manifestPath, 'utf8').trim().split('\n').length
  const before = lines()
  expect((await bringIn(studio, folder)).result).toEqual(first.result)
  expect(lines()).toBe(before)
  writeFileSync(join(folder, 'b', 'pattern.txt'), 'a pattern turns')
  await bringIn(studio, folder)
  expect(lines()).toBe(before + 1)
  expect((await found(studio, 'caption:turns')).length).toBe(2)
})

test('the index that is made anew from the files has the same items', async () => {
  const { index, folder: own } = studio.context.project()
  const before = await found(studio, '')
  await index.idle()
  writeFileSync(join(own.dataset, 'ledger.jsonl'), `${readFileSync(join(own.dataset, 'ledger.jsonl'), 'utf8').replace('notes', 'Notes')}`)
  expect((await found(studio, '')).map(({ id }) => id).sort()).toEqual(before.map(({ id }) => id).sort())
})

test('the samples of a tar may be videos', async () => {
  const shard = join(home, 'samples.tar')
  writeFileSync(
    shard,
    tar([
      { name: '0001.mp4', bytes: readFileSync(pattern) },
      { name: '0001.txt', bytes: Buffer.from('in a tar') },
      { name: '0002.png', bytes: Buffer.from(picture) },
      { name: '0002.txt', bytes: Buffer.from('a picture beside it') },
    ]),
  )
  const other = await newStudio()
  const job = await ended(other, await other.services['dataset.import']({ source: { kind: 'file', path: shard }, options }, call))
  expect(job.result).toMatchObject({ totals: { found: 2, used: 1, partial: 1, rejected: 0 } })
  expect((await found(other, 'kind:clip')).map(({ source, caption }) => [source, caption])).toEqual([
    ['0001.mp4', 'in a tar'],
    ['0001.mp4', 'in a tar'],
  ])
})

test('clips of a video that is another now are gone, and a data set of clips alone cannot train', async () => {
  const other = await newStudio()
  const only = join(home, 'only')
  mkdirSync(only)
  copyFileSync(counter, join(only, 'one.mp4'))
  await bringIn(other, only)
  const before = (await found(other, '')).map(({ id }) => id)
  await expect(other.context.project().dataset.freeze()).rejects.toThrow('2 clips and no picture')
  rmSync(join(only, 'one.mp4'))
  copyFileSync(pattern, join(only, 'one.mp4'))
  await bringIn(other, only)
  const after = (await found(other, '')).map(({ id }) => id)
  expect([before.length, after.length, after.filter((id) => before.includes(id))]).toEqual([2, 2, []])
})

test('the card counts the clips and their frames', async () => {
  const { markdown } = await studio.services['curation.card'](null, call)
  expect(markdown).toContain('1 picture and 4 clips of 32 frames in all, trained on as squares of 32 pixels; 5 items with a caption')
})
