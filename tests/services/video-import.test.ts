import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { clipOptions, type ClipOptions, type ClipRules, type Trim } from '#contracts/video.ts'
import { trainingPicture } from '#main/media/picture.ts'
import { ClipFiles } from '#main/media/video/clip-files.ts'
import { streamFrames } from '#main/media/video/frames.ts'
import { importVideos } from '#main/media/video/import-videos.ts'
import { probeVideo } from '#main/media/video/probe.ts'
import { SceneCache } from '#main/media/video/scene-cache.ts'
import { SafeFs, sha256, type FaultHook } from '#main/store/safe-fs.ts'
import { countOf, ffmpeg, inFolder, make, makeCounter, makePattern, makePlaylist, makeScenes } from '../support/made-videos.ts'
import { runAndKill } from '../support/kill.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const made = inFolder(temporaryFolder())
const { signal } = new AbortController()

interface Given {
  imageSize?: number
  rules?: Partial<ClipRules>
  trims?: { source: string; trim: Trim }[]
  thresholds?: ClipOptions['thresholds']
}

async function importInto(
  datasetFolder: string,
  folder: string,
  { imageSize = 32, rules = {}, trims = [], thresholds = [] }: Given = {},
  fault?: FaultHook,
) {
  const fs = new SafeFs(fault)
  const scenes = new SceneCache(join(datasetFolder, 'scenes'), fs)
  const options = clipOptions.parse({ imageSize, rules, trims, thresholds })
  const totals = await importVideos(folder, options, {
    ffmpeg,
    datasetFolder,
    scenes,
    fs,
    signal,
    mayRead: () => false,
    onProgress: () => undefined,
  })
  const files = new ClipFiles(datasetFolder, fs)
  return { totals, files, entries: await files.entries(), clips: await files.clips() }
}

function folderWith(name: string, ...videos: string[]): string {
  const folder = made(name)
  mkdirSync(folder)
  for (const video of videos) copyFileSync(video, join(folder, video.split('/').at(-1)!))
  return folder
}

/** Every file of a folder by its content. */
function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(names.map(({ parentPath, name }) => [name, sha256(readFileSync(join(parentPath, name)))]))
}

const counter = makeCounter(made('counter.mp4'), 50)

test('50 counted frames in clips of 16 are three clips that show 0 to 47 in order, and a note about two frames', async () => {
  const { totals, files, entries, clips } = await importInto(temporaryFolder(), folderWith('counted', counter), { rules: { frames: 16 } })
  expect(totals).toEqual({ found: 1, used: 0, partial: 1, rejected: 0 })
  expect(entries).toMatchObject([{ state: 'partial', reason: 'frames-dropped', frames: 50, usedFrames: 48, clips: 3 }])
  expect(entries[0]?.detail).toContain('2 of 50 frames')
  const shown: number[] = []
  for (const { id, frames } of clips) for (let i = 0; i < frames; i++) shown.push(countOf((await files.frame(id, i))!.rgb))
  expect(shown).toEqual(Array.from({ length: 48 }, (_, i) => i))
  expect(await files.frame(clips[0]!.id, 16)).toBeNull()
})

test('with a stride and a trim, clips hold the frames that the rules name', async () => {
  const trims = [{ source: 'counter.mp4', trim: { startSeconds: 10 / 25, endSeconds: 30 / 25 } }]
  const { files, clips } = await importInto(temporaryFolder(), folderWith('strided', counter), { rules: { frames: 4, stride: 2 }, trims })
  const shown = await Promise.all(clips.map(async ({ id }) => countOf((await files.frame(id, 3))!.rgb)))
  expect(shown).toEqual([16, 24])
})

test('no clip crosses a cut', async () => {
  const scenes = makeScenes(made('scenes.mp4'), [
    ['red', 12],
    ['blue', 5],
    ['white', 20],
  ])
  const { files, clips, entries } = await importInto(temporaryFolder(), folderWith('cut', scenes), {
    rules: { frames: 8, cutThreshold: 0.3 },
  })
  expect(entries).toMatchObject([{ frames: 37, usedFrames: 24, clips: 3 }])
  for (const { id, frames } of clips) {
    const [first, last] = await Promise.all([files.frame(id, 0), files.frame(id, frames - 1)])
    const difference = first!.rgb.reduce((sum, value, i) => sum + Math.abs(value - last!.rgb[i]!), 0) / first!.rgb.length
    expect(difference).toBeLessThan(3)
  }
})

test('a video with a threshold of its own is cut by it, and the others by the common one', async () => {
  const paths = ['gentle.mp4', 'like the others.mp4'].map((name, i) =>
    // Of two grays no ffmpeg thinks that everything has changed.
    makeScenes(made(name), [
      ['gray', 10 + i],
      ['silver', 10],
    ]),
  )
  const { clips } = await importInto(temporaryFolder(), folderWith('own thresholds', ...paths), {
    rules: { frames: 8, cutThreshold: 1 },
    thresholds: [{ source: 'gentle.mp4', cutThreshold: 0.05 }],
  })
  const starts = (name: string) => clips.filter(({ source }) => source === name).map(({ startSeconds }) => Math.round(startSeconds * 25))
  expect(starts('gentle.mp4')).toEqual([0, 10])
  expect(starts('like the others.mp4')).toEqual([0, 8])
})

test.for(['plain', 'turned', 'wide-pixels'])('frames of a video that is %s are cropped as its pictures are', async (kind) => {
  const path = made(`${kind}.mp4`)
  makePattern(path, { frames: 3, size: '96x54' }, ...(kind === 'wide-pixels' ? ['-vf', 'setsar=2'] : []))
  if (kind === 'turned') {
    make('-i', path, '-c', 'copy', '-metadata:s:v', 'rotate=90', made('really-turned.mp4'))
    copyFileSync(made('really-turned.mp4'), path)
  }
  const { probe } = await probeVideo(ffmpeg, path, signal)
  const square = kind === 'wide-pixels' ? ['-vf', 'scale=iw*2:ih,setsar=1'] : []
  make('-i', path, '-frames:v', '1', ...square, made(`${kind}.png`))
  const { rgb: picture } = await trainingPicture(readFileSync(made(`${kind}.png`)), { imageSize: 32, background: '#000000' })
  const frames: Uint8Array[] = []
  const onFrame = async (_: number, rgb: Uint8Array) => frames.push(rgb.slice()) > 0
  expect(await streamFrames(ffmpeg, path, probe, { imageSize: 32, signal, onFrame })).toBe(3)
  const difference = picture.reduce((sum, value, i) => sum + Math.abs(value - frames[0]![i]!), 0) / picture.length
  expect(difference).toBeLessThan(4) // two resamplers differ by 2, a shift by one pixel is above 14
})

test('broken and hostile files end in the ledger with their reasons, and the others are used', async () => {
  const folder = folderWith('mixed', counter)
  copyFileSync(counter, join(folder, 'the same again.mov'))
  writeFileSync(join(folder, 'empty.mp4'), '')
  makePlaylist(join(folder, 'playlist.mp4'), counter)
  makeCounter(join(folder, 'short.mp4'), 5)
  make('-f', 'lavfi', '-i', 'sine=d=0.2', '-c:a', 'aac', join(folder, 'sound.mp4'))
  copyFileSync(counter, join(folder, 'torn.mp4'))
  truncateSync(join(folder, 'torn.mp4'), 1000)
  writeFileSync(join(folder, 'notes.txt'), 'not called like a video')
  const { totals, entries } = await importInto(temporaryFolder(), folder)
  expect(totals).toEqual({ found: 7, used: 0, partial: 1, rejected: 6 })
  expect(Object.fromEntries(entries.map(({ source, reason }) => [source, reason]))).toEqual({
    'counter.mp4': 'frames-dropped',
    'the same again.mov': 'duplicate',
    'empty.mp4': 'empty-file',
    'playlist.mp4': 'unsupported-format',
    'short.mp4': 'no-clip',
    'sound.mp4': 'no-video',
    'torn.mp4': 'corrupt',
  })
})

test('of a video that ends amid its frames, those that can be decoded become clips', async () => {
  const folder = folderWith('cut-short')
  const path = join(folder, 'cut short.mp4')
  makePattern(path, { frames: 60, size: '128x96' }, '-g', '5', '-movflags', '+faststart')
  truncateSync(path, Math.floor(readFileSync(path).length * 0.6))
  const { entries } = await importInto(temporaryFolder(), folder)
  expect(entries[0]).toMatchObject({ state: 'partial', reason: 'frames-dropped' })
  expect(entries[0]!.clips).toBeGreaterThan(0)
  expect(entries[0]!.frames).toBeLessThan(60)
})

test('an import that is started again changes nothing, and one by other rules replaces the clips and their files', async () => {
  const dataset = temporaryFolder()
  const folder = folderWith('again', counter)
  await importInto(dataset, folder)
  const before = contents(dataset)
  await importInto(dataset, folder)
  expect(contents(dataset)).toEqual(before)
  const { clips } = await importInto(dataset, folder, { rules: { frames: 25 } })
  expect(clips.map(({ frames }) => frames)).toEqual([25, 25])
  expect(readdirSync(join(dataset, 'clips')).filter((name) => name.endsWith('.bin'))).toHaveLength(1)
})

test('whatever write the disk fails at, an import that goes on ends as an undisturbed one', async () => {
  const folder = folderWith('full', counter, makePattern(made('second.mp4'), { frames: 40 }))
  const undisturbed = temporaryFolder()
  await importInto(undisturbed, folder)
  const dataset = temporaryFolder()
  for (let failing = 0; ; failing++) {
    let operation = 0
    const full: FaultHook = () => {
      if (operation++ === failing) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return undefined
    }
    const ended = await importInto(dataset, folder, {}, full).then(
      () => true,
      (error: unknown) => {
        expect(error).toMatchObject({ code: 'disk-full' })
        return false
      },
    )
    if (ended) break
  }
  expect(contents(dataset)).toEqual(contents(undisturbed))
})

const kills = process.env.ZIGMA_LONG ? 100 : 3

test(`killed without warning ${kills} times, an import ends as an undisturbed one`, { timeout: kills * 5000 }, async () => {
  const videos = [1, 2, 3].map((i) => makePattern(made(`killed ${i}.mp4`), { frames: 30 + i }))
  const folder = folderWith('killed', ...videos)
  const undisturbed = temporaryFolder()
  await importInto(undisturbed, folder, { imageSize: 64 })
  for (let i = 0; i < kills; i++) {
    const dataset = temporaryFolder()
    await runAndKill('import-clips.ts', [folder, dataset, ffmpeg], Math.random() * 800)
    await importInto(dataset, folder, { imageSize: 64 })
    expect(contents(dataset)).toEqual(contents(undisturbed))
  }
})

test('a clip of any length is written with a few blocks in memory', async () => {
  const folder = folderWith('long')
  makePattern(join(folder, 'long.mp4'), { frames: 512, size: '64x48' })
  let most = 0
  const watch: FaultHook = () => {
    most = Math.max(most, process.memoryUsage().arrayBuffers)
    return undefined
  }
  const before = process.memoryUsage().arrayBuffers
  const { clips, files } = await importInto(temporaryFolder(), folder, { imageSize: 256, rules: { frames: 512 } }, watch)
  expect(clips).toHaveLength(1)
  expect((await files.frame(clips[0]!.id, 511))!.imageSize).toBe(256)
  expect(most - before).toBeLessThan(48 * 1024 * 1024) // the clip has 96 MiB
})

test('a folder without videos says so', async () => {
  await expect(importInto(temporaryFolder(), folderWith('none'))).rejects.toMatchObject({ code: 'bad-source' })
})

test('no program is left running', () => {
  const running = execFileSync('ps', ['-o', 'stat=,comm=', '--ppid', String(process.pid)])
    .toString()
    .split('\n')
  expect(running.filter((line) => line.includes('ffmpeg') && !line.startsWith('Z'))).toEqual([])
})
