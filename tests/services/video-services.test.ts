import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Job } from '#contracts/job.ts'
import type { ItemId, JobId } from '#contracts/project.ts'
import { mediaUrl } from '#contracts/studio.ts'
import { clipRules, type VideoId } from '#contracts/video.ts'
import { compose, type Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { openPicture } from '#main/media/picture.ts'
import { fakeEngine } from '../support/fake-engine.ts'
import { makeCounter, makeScenes } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()
const source = join(folder, 'videos')
const call = { signal: new AbortController().signal }
const query = new URLSearchParams()
let studio: Studio
let ids: Record<string, VideoId>

beforeAll(async () => {
  mkdirSync(source)
  makeScenes(join(source, 'two scenes.mp4'), [
    ['red', 20],
    ['blue', 30],
  ])
  makeCounter(join(source, 'counter.mp4'), 40)
  writeFileSync(join(source, 'broken.mp4'), 'not a video')
  studio = await compose({
    host: 'cli',
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: [folder],
  })
  await studio.services['projects.create']({ name: 'Clips' }, call)
  const found = await studio.services['video.list']({ path: source }, call)
  ids = Object.fromEntries(found.map(({ id, source: name }) => [name, id as VideoId]))
})
afterAll(() => studio.close())

async function ended(job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context.project().queue.get(job.id as JobId)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function sizeAt(url: string): Promise<number[] | null> {
  const media = await resolveMedia(studio, url, query)
  if (!media) return null
  const { width, height } = await openPicture(media.bytes).metadata()
  return [width, height]
}

test('the videos of a folder are listed by ids, and probed by them', async () => {
  expect(Object.keys(ids)).toEqual(['broken.mp4', 'counter.mp4', 'two scenes.mp4'])
  expect(await studio.services['video.probe']({ id: ids['counter.mp4']! }, call)).toMatchObject({ probe: { frames: 40 }, refused: null })
  const { probe, refused } = await studio.services['video.probe']({ id: ids['broken.mp4']! }, call)
  expect([probe, refused?.fault]).toEqual([null, 'unsupported-format'])
})

test('a folder outside the allowed ones and an id that was never given are refused', async () => {
  await expect(studio.services['video.list']({ path: '/etc' }, call)).rejects.toMatchObject({ code: 'bad-source' })
  const id = `v${'0'.repeat(24)}` as VideoId
  await expect(studio.services['video.probe']({ id }, call)).rejects.toMatchObject({ code: 'not-found' })
  await expect(studio.services['video.strip']({ id, count: 3 }, call)).rejects.toMatchObject({ code: 'not-found' })
})

test('scenes are found as a job on the processor, and then any threshold plans without another', async () => {
  const id = ids['two scenes.mp4']!
  const rules = clipRules.parse({ frames: 16, cutThreshold: 0.3 })
  expect(await studio.services['video.scores']({ id }, call)).toBeNull()
  await expect(studio.services['video.plan']({ id, rules, trim: null }, call)).rejects.toMatchObject({ code: 'invalid-request' })
  const job = await studio.services['video.scenes']({ id }, call)
  expect(job.lane).toBe('cpu')
  expect(await ended(job)).toMatchObject({ state: 'done', result: { frames: 50 }, progress: { unit: 'frames' } })
  expect((await studio.services['video.scores']({ id }, call))?.scores).toHaveLength(50)
  const plan = await studio.services['video.plan']({ id, rules, trim: null }, call)
  expect(plan.clips.map(({ firstFrame, lastFrame }) => [firstFrame, lastFrame])).toEqual([
    [0, 15],
    [20, 35],
  ])
  expect(plan).toMatchObject({ frames: 50, used: 32, dropped: { remainder: 18 } })
  expect(plan.gaps).toEqual([
    { firstFrame: 16, lastFrame: 19, reason: 'remainder' },
    { firstFrame: 36, lastFrame: 49, reason: 'remainder' },
  ])
  const one = await studio.services['video.plan']({ id, rules: { ...rules, cutThreshold: null }, trim: null }, call)
  expect(one.clipCount).toBe(3)
})

test('a strip is made of small pictures with addresses', async () => {
  const strip = await studio.services['video.strip']({ id: ids['counter.mp4']!, count: 3 }, call)
  expect(strip.map(({ seconds }) => Math.round(seconds * 25))).toEqual([6, 20, 33])
  expect(await Promise.all(strip.map(({ pictureUrl }) => sizeAt(pictureUrl)))).toEqual([
    [32, 32],
    [32, 32],
    [32, 32],
  ])
  expect(await sizeAt(mediaUrl.frame(ids['broken.mp4']!, 0))).toBeNull()
  expect(await sizeAt('media/frame/../../x/0')).toBeNull()
})

test('clips are imported, listed and shown, and are the items of the data set', async () => {
  const options = { imageSize: 24, rules: clipRules.parse({ frames: 8 }), trims: [], thresholds: [] }
  const job = await ended(await studio.services['video.import']({ path: source, options }, call))
  expect(job).toMatchObject({ state: 'done', result: { totals: { found: 3, used: 1, partial: 1, rejected: 1 }, clips: 5 + 6 } })
  const { total, clips, note } = await studio.services['video.clips']({ offset: 0, limit: 500, path: null, source: null }, call)
  expect([total, clips[0]?.caption, clips.at(-1)?.caption]).toEqual([11, 'counter', 'two scenes'])
  expect(note).toContain('leaves them out')
  expect(await sizeAt(mediaUrl.clip(clips[0]!.id, 7))).toEqual([24, 24])
  expect(await sizeAt(mediaUrl.clip(clips[0]!.id, 8))).toBeNull()
  expect(await sizeAt(mediaUrl.clip('0'.repeat(20) as ItemId, 0))).toBeNull()
  const { entries } = await studio.services['video.ledger']({ offset: 0, limit: 10, state: 'rejected', path: null }, call)
  expect(entries).toMatchObject([{ source: 'broken.mp4', reason: 'unsupported-format', clips: 0 }])
  expect(await studio.services['dataset.describe'](null, call)).toMatchObject({
    items: 11,
    clips: 11,
    totals: { found: 3, used: 1, partial: 1, rejected: 1 },
  })
})

test('scenes of a file that is gone fail with its name', async () => {
  copyFileSync(join(source, 'counter.mp4'), join(source, 'short lived.mp4'))
  const found = await studio.services['video.list']({ path: source }, call)
  rmSync(join(source, 'short lived.mp4'))
  const job = await studio.services['video.scenes'](
    { id: found.find(({ source: name }) => name === 'short lived.mp4')!.id as VideoId },
    call,
  )
  expect(await ended(job)).toMatchObject({ state: 'failed', error: { code: 'bad-source' } })
  expect((await ended(job)).error?.message).toContain('short lived.mp4')
})

test('the ledger and the clips can be asked of one folder and of one video', async () => {
  const ledger = (path: string | null) => studio.services['video.ledger']({ offset: 0, limit: 10, state: null, path }, call)
  const clips = (name: string) => studio.services['video.clips']({ offset: 0, limit: 500, path: source, source: name }, call)
  expect((await ledger(source)).total).toBe(3)
  expect((await ledger(folder)).total).toBe(0)
  expect([(await clips('counter.mp4')).total, (await clips('two scenes.mp4')).total]).toEqual([5, 6])
  await expect(ledger('/etc')).rejects.toMatchObject({ code: 'bad-source' })
})

test('a folder tells how many files of it are called like videos', async () => {
  expect(await studio.services['system.browse']({ path: source }, call)).toMatchObject({ pictures: 0, videos: 3 })
})
