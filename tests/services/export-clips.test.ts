import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { exportRequest, type ExportRequest } from '#contracts/export.ts'
import type { Job } from '#contracts/job.ts'
import type { JobId } from '#contracts/project.ts'
import type { Trim, VideoId } from '#contracts/video.ts'
import type { Studio } from '#main/compose.ts'
import { ClipFiles } from '#main/media/video/clip-files.ts'
import { encodeFrames } from '#main/media/video/encode-frames.ts'
import { SafeFs, sha256, type FileOperation } from '#main/store/safe-fs.ts'
import { redBlue } from '#tests/fixtures/pictures.ts'
import { tar } from '../support/archives.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { exportableClips } from '../support/exportable-clips.ts'
import { ffmpeg, makeCounter, makePattern } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const call = { signal: new AbortController().signal }
const size = 32
const home = temporaryFolder()
const source = join(home, 'source')
mkdirSync(source)
makeCounter(join(source, 'counter.mp4'), 20)
makePattern(join(source, 'pattern.mp4'), { frames: 16, rate: 12 })
writeFileSync(join(source, 'a.png'), await redBlue(40, 30))
writeFileSync(join(source, 'counter.txt'), 'grays that rise')
const studios: Studio[] = []
afterAll(() => Promise.all(studios.map((one) => one.close())))

async function ended(studio: Studio, job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context.project().queue.get(job.id as JobId)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
async function newStudio(folder: string, fs = new SafeFs()): Promise<Studio> {
  const studio = await curatedStudio([], { folder, mayRead: home, imageSize: size, fs })
  studios.push(studio)
  return studio
}
async function bringIn(studio: Studio, path: string, frames: number): Promise<Job> {
  const clips = { frames, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null }
  const options = { imageSize: size, background: '#ffffff', clips }
  return ended(studio, await studio.services['dataset.import']({ source: { kind: 'folder', path }, options }, call))
}
const requestOf = (request: Partial<ExportRequest> & Pick<ExportRequest, 'folder'>) =>
  exportRequest.parse({ layout: 'videofolder', ...request })
const start = (request: Parameters<typeof requestOf>[0]) => studio.services['export.start'](requestOf(request), call)
const exportTo = async (request: Parameters<typeof requestOf>[0]) => ended(studio, await start(request))
const rows = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>) // prettier-ignore
const hashes = (folder: string, pattern = '**/*') => globSync(pattern, { cwd: folder, withFileTypes: true }).filter((one) => one.isFile()).map((one) => [one.name, sha256(readFileSync(join(one.parentPath, one.name)))].join(' ')).sort() // prettier-ignore
const clipsOf = async (one: Studio) => (await one.context.project().dataset.items()).filter(({ clip }) => clip)
/** What any other program gets when it decodes a file to RGB. */
const decoded = (path: string) => execFileSync(ffmpeg, ['-v', 'error', '-i', path, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'])

const studio = await newStudio(home)
await bringIn(studio, source, 8)

test('clips are exported as the very frames that are kept, and pictures are left out with the reason', async () => {
  const folder = join(home, 'out')
  const job = await exportTo({ folder, splits: 'together' })
  expect(job).toMatchObject({ state: 'done', result: { totals: { items: 4, leftOut: [{ reason: 'picture', items: 1 }] } } })
  const sizeBytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
  expect(job.result).toMatchObject({ totals: { sizeBytes } })
  const clips = await clipsOf(studio)
  expect(readdirSync(folder).sort()).toEqual(
    [...clips.map(({ id }) => `${id}.mkv`), 'README.md', 'left-out.jsonl', 'metadata.jsonl'].sort(),
  )
  for (const { id, pixelHash, clip } of clips) {
    const rgb = decoded(join(folder, `${id}.mkv`))
    expect(rgb.length).toBe(clip!.frames * size * size * 3)
    expect(sha256(rgb)).toBe(pixelHash)
  }
  expect(rows(join(folder, 'metadata.jsonl'))).toEqual(
    clips.map(({ id, caption, clip }) => ({ file_name: `${id}.mkv`, text: caption, clip_frames: 8, clip_frame_rate: clip!.frameRate })),
  )
  expect(new Set(clips.map(({ clip }) => clip!.frameRate))).toEqual(new Set([12, 25]))
  expect(readFileSync(join(folder, 'metadata.jsonl'), 'utf8')).toContain('"clip_frame_rate":25.0}') // its readers take types from the first lines
  expect(rows(join(folder, 'left-out.jsonl'))).toMatchObject([{ source: 'a.png', reason: 'picture' }])
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  expect(readme).toContain('\ntask_categories:\n- text-to-video\nsize_categories:')
  expect(readme).toContain('\n4 clips of 32 frames in all, trained on as squares of 32 pixels; 4 items with a caption')
  expect(readme).toContain('4 clips, exactly the frames that the studio keeps of them, without loss')
})

test('an import of it gives the same clips in another studio, although it cuts other videos into clips of 3 frames', async () => {
  const other = await newStudio(temporaryFolder())
  expect(await bringIn(other, join(home, 'out'), 3)).toMatchObject({ state: 'done' })
  const told = (all: Awaited<ReturnType<typeof clipsOf>>) => all.map(({ pixelHash, caption, clip }) => [pixelHash, caption, clip!.frames, clip!.frameRate].join(' ')).sort() // prettier-ignore
  expect(told(await clipsOf(other))).toEqual(told(await clipsOf(studio)))
  const ledger = await other.services['video.ledger']({ offset: 0, limit: 10, state: null, path: null }, call)
  expect(ledger.entries.map(({ state, frames, usedFrames, clips }) => [state, frames, usedFrames, clips])).toEqual(Array.from({ length: 4 }, () => ['used', 8, 8, 1])) // prettier-ignore
  const check = await other.services['import.check'](
    { source: { kind: 'folder', path: join(home, 'out') }, options: { imageSize: size, background: '#ffffff', clips: { frames: 3, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null } } }, call) // prettier-ignore
  expect(check.videos).toMatchObject({ found: 4, probed: 4, clips: 4, frames: 32 })
})

test('a record beside a video says the same as a list, in a folder and in a tar', async () => {
  const [row] = rows(join(home, 'out', 'metadata.jsonl'))
  const film = readFileSync(join(home, 'out', String(row!['file_name'])))
  const record = JSON.stringify({ caption: 'a film', clip_frames: row!['clip_frames'], clip_frame_rate: row!['clip_frame_rate'] })
  const folder = join(home, 'beside')
  mkdirSync(folder)
  writeFileSync(join(folder, 'one.mkv'), film)
  writeFileSync(join(folder, 'one.json'), record)
  const shard = join(home, 'samples')
  mkdirSync(shard)
  writeFileSync(join(shard, '00000.tar'), tar([{ name: '1.mkv', bytes: film }, { name: '1.json', bytes: Buffer.from(record) }])) // prettier-ignore
  for (const path of [folder, shard]) {
    const other = await newStudio(temporaryFolder())
    await bringIn(other, path, 3)
    expect((await clipsOf(other)).map(({ caption, clip }) => [caption, clip!.frames, clip!.frameRate])).toEqual([
      ['a film', 8, row!['clip_frame_rate']],
    ])
  }
})

test('people who say how one of its videos is cut have the last word', async () => {
  const other = await newStudio(temporaryFolder())
  const [cut] = globSync('*.mkv', { cwd: join(home, 'out') }).sort()
  const rules = { frames: 3, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null }
  const trims = [{ source: cut!, trim: { startSeconds: 0, endSeconds: null } }]
  const [video] = await other.services['video.list']({ path: join(home, 'out') }, call)
  const planned = async (by: { trim: Trim | null; ownThreshold?: boolean }) =>
    (await other.services['video.plan']({ id: video!.id as VideoId, rules, ...by }, call)).clips.map(({ frames }) => frames)
  expect(video!.source).toBe(cut)
  expect(await planned({ trim: null })).toEqual([8])
  expect(await planned({ trim: trims[0]!.trim })).toEqual([3, 3])
  expect(await planned({ trim: null, ownThreshold: true })).toEqual([3, 3])
  const request = { path: join(home, 'out'), options: { imageSize: size, rules, trims, thresholds: [] } }
  expect(await ended(other, await other.services['video.import'](request, call))).toMatchObject({ state: 'done' })
  const told = (await clipsOf(other)).map(({ source, clip }) => [source === cut, clip!.frames].join(' '))
  expect(told.sort()).toEqual(['false 8', 'false 8', 'false 8', 'true 3', 'true 3'])
})

test('a data set of clips alone is exported, and layouts of pictures say what to do', async () => {
  const folder = temporaryFolder()
  const other = await newStudio(folder)
  rmSync(join(other.context.project().folder.dataset, 'dataset.json')) // no picture was ever imported
  const rules = { frames: 8, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null }
  const request = { path: join(home, 'out'), options: { imageSize: size, rules, trims: [], thresholds: [] } }
  await ended(other, await other.services['video.import'](request, call))
  const job = await other.services['export.start'](requestOf({ folder: join(folder, 'out') }), call)
  expect(await ended(other, job)).toMatchObject({ state: 'done', result: { totals: { items: 4, leftOut: [] } } })
  await expect(other.services['export.start'](requestOf({ layout: 'kohya', folder: join(folder, 'no') }), call)).rejects.toThrow(
    'The data set holds clips and no picture. Import pictures, or export the clips as a video folder.',
  )
})

test('a video that has another number of frames than its list says is refused with the way out', async () => {
  const folder = join(home, 'edited')
  mkdirSync(folder)
  copyFileSync(join(source, 'counter.mp4'), join(folder, 'one.mp4'))
  writeFileSync(join(folder, 'metadata.jsonl'), '{"file_name":"one.mp4","text":"one","clip_frames":8,"clip_frame_rate":25.0}\n')
  const other = await newStudio(temporaryFolder())
  expect(await bringIn(other, folder, 8)).toMatchObject({ result: { totals: { used: 0, rejected: 1 } } })
  const { entries } = await other.services['video.ledger']({ offset: 0, limit: 10, state: null, path: null }, call)
  expect(entries[0]!.detail).toContain('a clip of 8 frames, and it has 20.')
  writeFileSync(join(folder, 'metadata.jsonl'), '{"file_name":"one.mp4","text":"one"}\n')
  expect(await bringIn(other, folder, 8)).toMatchObject({ result: { totals: { partial: 1, rejected: 0 } } })
  expect(await clipsOf(other)).toHaveLength(2)
})

test('layouts of pictures leave the clips out, and both are told beforehand', async () => {
  const told = async (layout: ExportRequest['layout']) =>
    studio.services['export.forecast']({ ...requestOf({ layout, folder: join(home, 'later') }) }, call)
  expect(await told('videofolder')).toMatchObject({ items: 4, otherKind: 1, rejected: 0, looked: 4, missing: 0 })
  expect(await told('imagefolder')).toMatchObject({ items: 1, otherKind: 4, rejected: 0, looked: 1, missing: 0 })
  const { sizeBytes } = await told('videofolder')
  const onDisk = Number(execFileSync('du', ['-s', '--block-size=1', join(home, 'out')], { encoding: 'utf8' }).split('\t')[0])
  expect(sizeBytes / onDisk).toBeGreaterThan(0.6)
  expect(sizeBytes / onDisk).toBeLessThan(1.4)
  const job = await exportTo({ layout: 'kohya', folder: join(home, 'kohya') })
  expect(job).toMatchObject({ state: 'done', result: { totals: { items: 1, leftOut: [{ reason: 'clip', items: 4 }] } } })
  // What only clips have is nothing for the lists of pictures.
  const [clip] = await clipsOf(studio)
  await studio.services['curation.edit']({ target: { kind: 'ids', ids: [clip!.id] }, change: { kind: 'set', marks: { author: 'Ada', repeats: 7 } } }, call) // prettier-ignore
  await exportTo({ layout: 'imagefolder', folder: join(home, 'images'), splits: 'together' })
  expect(Object.keys(rows(join(home, 'images', 'metadata.jsonl'))[0]!)).toEqual(['file_name', 'text'])
  await exportTo({ layout: 'kohya', folder: join(home, 'kohya 2'), splits: 'together' })
  expect(readFileSync(join(home, 'kohya 2', 'dataset_config.toml'), 'utf8')).not.toContain('7')
})

test('what cannot be is refused before anything is written', async () => {
  await expect(start({ folder: join(home, 'no'), pixels: 'originals' })).rejects.toMatchObject({
    code: 'invalid-request',
    message:
      'A clip is a part of a video as it is trained on, so the video folder takes the training pixels. Choose these, or another layout.',
  })
  const [picture] = (await studio.context.project().dataset.items()).filter(({ clip }) => !clip)
  expect(await exportTo({ folder: join(home, 'no'), what: { kind: 'ids', ids: [picture!.id] } })).toMatchObject({
    state: 'failed',
    error: { code: 'bad-source', message: 'All 1 that were asked for are pictures, and this layout holds clips, so nothing was written. Choose another layout, or import videos.' }, // prettier-ignore
  })
  expect(existsSync(join(home, 'no'))).toBe(false)
})

test('a snapshot is exported the same each time, byte for byte, also when its videos were cut anew since', async () => {
  const name = await studio.context.project().dataset.freeze()
  const what = { kind: 'snapshot', name } as const
  await exportTo({ folder: join(home, 'first'), what })
  await exportTo({ folder: join(home, 'second'), what })
  expect(hashes(join(home, 'second'))).toEqual(hashes(join(home, 'first')))
  await bringIn(studio, source, 5)
  expect((await clipsOf(studio)).map(({ clip }) => clip!.frames)).toEqual(Array.from({ length: 7 }, () => 5))
  const job = await exportTo({ folder: join(home, 'third'), what })
  expect(job).toMatchObject({ state: 'done', result: { totals: { items: 4 } } })
  expect(hashes(join(home, 'third'), '**/*.mkv')).toEqual(hashes(join(home, 'first'), '**/*.mkv'))
})

test('a clip whose frames are damaged on the disk is left out and told', async () => {
  const { dataset } = studio.context.project()
  const [damaged] = await clipsOf(studio)
  const shard = dataset.clips.shardPath(damaged!.clip!.shard)
  const sound = readFileSync(shard)
  const broken = Buffer.from(sound)
  broken[damaged!.slot * size * size * 3 + 5]! ^= 1
  writeFileSync(shard, broken)
  const job = await exportTo({ folder: join(home, 'damaged') })
  expect(job).toMatchObject({ state: 'done', result: { totals: { items: 6, leftOut: [{ reason: 'damaged', items: 1 }, { reason: 'picture', items: 1 }] } } }) // prettier-ignore
  expect(globSync(`**/${damaged!.id}.mkv`, { cwd: join(home, 'damaged') })).toEqual([])
  truncateSync(shard, 100)
  expect(await exportTo({ folder: join(home, 'shorter') })).toMatchObject({ state: 'done' })
  writeFileSync(shard, sound)
})

test('an export of clips that is canceled or meets a full disk leaves nothing, whichever file operation fails', async () => {
  const job = await start({ folder: join(home, 'ended') })
  while (globSync('.tmp-*-ended/**/*.mkv', { cwd: home }).length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(await studio.services['queue.cancel']({ id: job.id as JobId }, call)).toMatchObject({ state: 'cancelled' })
  expect(readdirSync(home).filter((name) => name.includes('ended'))).toEqual([])

  let broken: { operation: FileOperation; at: number } | null = null
  let seen = 0
  const fs = new SafeFs((operation, path) => {
    if (broken && path.includes('fails') && operation === broken.operation && seen++ === broken.at)
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    return undefined
  })
  const folder = temporaryFolder()
  const other = await newStudio(folder, fs)
  await bringIn(other, join(home, 'beside'), 8)
  for (const operation of ['open', 'write', 'sync', 'rename', 'folder'] as const) {
    for (let at = 0; ; at++) {
      ;[broken, seen] = [{ operation, at }, 0]
      const tried = await ended(other, await other.services['export.start'](requestOf({ folder: join(folder, 'fails') }), call))
      broken = null
      if (tried.state === 'done') break
      expect(tried).toMatchObject({ state: 'paused', error: { code: 'disk-full' } })
      expect(readdirSync(folder).filter((name) => name.includes('fails'))).toEqual([])
      await other.services['queue.cancel']({ id: tried.id }, call)
    }
    rmSync(join(folder, 'fails'), { recursive: true })
  }
})

test('an encoder that is ended leaves no running program', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'endless.mkv')
  const ends = new AbortController()
  let given = 0
  async function* endless() {
    for (;;) {
      if (++given === 20) ends.abort(new Error('enough'))
      await new Promise((resolve) => setImmediate(resolve))
      yield new Uint8Array(64 * 64 * 3)
    }
  }
  const work = encodeFrames(ffmpeg, path, { imageSize: 64, frameRate: 25, frames: endless(), comment: 'a', signal: ends.signal })
  await expect(work).rejects.toThrow('enough')
  const stopped = given
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(given).toBe(stopped)
  const running = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => { try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path) } catch { return false } }) // prettier-ignore
  expect(running).toEqual([])
})

test('frames that cannot be had end the program, and one that cannot write is told', async () => {
  const folder = temporaryFolder()
  const { clips, items } = await exportableClips()
  const { clip, slot } = items[0]!
  const frames = () => clips.frames({ shard: clip!.shard, slot, frames: 10_000 }, clip!.imageSize)
  const task = { imageSize: clip!.imageSize, frameRate: 25, comment: 'a', signal: call.signal }
  await expect(encodeFrames(ffmpeg, join(folder, 'a.mkv'), { ...task, frames: frames() })).rejects.toMatchObject({ code: 'corrupt-file' })
  const none = new ClipFiles(folder, new SafeFs()).frames({ shard: clip!.shard, slot, frames: 1 }, clip!.imageSize)
  await expect(encodeFrames(ffmpeg, join(folder, 'b.mkv'), { ...task, frames: none })).rejects.toMatchObject({ code: 'ENOENT' })
  const some = clips.frames({ shard: clip!.shard, slot, frames: clip!.frames }, clip!.imageSize)
  const overwriting = join(folder, 'ffmpeg') // there is a file of that name on the full disk
  writeFileSync(overwriting, `#!/bin/sh\nexec "${ffmpeg}" -y "$@"\n`, { mode: 0o755 })
  await expect(encodeFrames(overwriting, '/dev/full', { ...task, frames: some })).rejects.toMatchObject({ code: 'disk-full' })
})
