import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runFfmpeg } from '#main/media/video/ffmpeg-process.ts'
import { probeVideo } from '#main/media/video/probe.ts'
import { VideoError } from '#main/media/video/video-error.ts'
import { ffmpeg, inFolder, make, makeConcatScript, makePattern, makePlaylist, makeVariable } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const at = inFolder(temporaryFolder())
const never = new AbortController().signal
const probe = async (path: string) => (await probeVideo(ffmpeg, path, never)).probe
const faultOf = (path: string) =>
  probeVideo(ffmpeg, path, never).then(
    () => 'none',
    (error: unknown) => (error instanceof VideoError ? error.fault : `unexpected: ${String(error)}`),
  )
const plain = makePattern(at('plain.mp4'), { frames: 50 })

test('a video of 50 frames at 25 a second lasts two seconds and is even', async () => {
  expect(await probe(plain)).toEqual({
    container: 'mov',
    codec: 'mpeg4',
    pixelFormat: 'yuv420p',
    colorMatrix: null,
    width: 64,
    height: 48,
    rotation: 0,
    frames: 50,
    durationSeconds: 2,
    frameRate: 25,
    variableRate: false,
  })
})

test.for(['mkv', 'avi', 'ts', 'mov'])('the same frames in a .%s file are as many and as fast', async (extension) => {
  const path = at(`plain.${extension}`)
  make('-i', plain, '-c:v', extension === 'ts' ? 'mpeg2video' : 'copy', path)
  const { frames, frameRate, variableRate } = await probe(path)
  expect({ frames, frameRate: Math.round(frameRate), variableRate }).toEqual({ frames: 50, frameRate: 25, variableRate: false })
})

test('an AVI that does not tell when its frames are shown is as long as it is', async () => {
  makePattern(at('unordered.avi'), { frames: 50 }, '-bf', '2')
  expect(await probe(at('unordered.avi'))).toMatchObject({ frames: 50, frameRate: 25, variableRate: false })
})

test('30 frames in a second and 10 in the next are 40 frames of variable rate', async () => {
  const { frames, variableRate, durationSeconds } = await probe(makeVariable(at('variable.mkv'), 30, 10))
  expect({ frames, variableRate, duration: Math.round(durationSeconds) }).toEqual({ frames: 40, variableRate: true, duration: 2 })
})

test('a video turned by a quarter is as high as it was wide', async () => {
  make('-i', plain, '-c', 'copy', '-metadata:s:v', 'rotate=90', at('turned.mp4'))
  const { width, height, rotation } = await probe(at('turned.mp4'))
  expect([width, height]).toEqual([48, 64])
  expect([90, 270]).toContain(rotation)
})

test('a video with pixels twice as wide as high is told as wide as it is seen', async () => {
  const { width, height } = await probe(makePattern(at('wide.mp4'), { frames: 5 }, '-vf', 'setsar=2'))
  expect([width, height]).toEqual([128, 48])
})

test('a playlist or script that names another file is refused, whatever it is called', async () => {
  for (const name of ['playlist.mp4', 'playlist.ts', 'playlist.m3u8', 'playlist.mkv']) {
    expect(await faultOf(makePlaylist(at(name), plain))).toBe('unsupported-format')
    expect(await faultOf(makeConcatScript(at(`script-${name}`), plain))).toBe('unsupported-format')
  }
})

test('a playlist behind bytes that look like a container stays unread', async () => {
  for (const head of ['\0\0\0\x18ftypisom', 'GIF89a', 'RIFF\0\0\0\0AVI ', '\x1a\x45\xdf\xa3', `G${' '.repeat(187)}G`]) {
    const path = at('dressed.mp4')
    writeFileSync(path, Buffer.concat([Buffer.from(head, 'latin1'), readFileSync(makePlaylist(at('bare.m3u8'), plain))]))
    expect(['corrupt', 'no-video', 'too-many-pixels']).toContain(await faultOf(path))
  }
})

test.for([
  ['empty', 'empty-file'],
  ['text', 'unsupported-format'],
  ['truncated', 'corrupt'],
  ['audio', 'no-video'],
  ['cover', 'no-video'],
  ['folder', 'unreadable'],
  ['absent', 'unreadable'],
  ['pipe', 'unreadable'],
  ['vast', 'too-many-pixels'],
  ['tiny', 'too-small'],
] as const)('a file that is %s is refused as %s', async ([kind, fault]) => {
  const path = kind === 'folder' ? at('.') : at(`${kind}.mp4`)
  const makers: Partial<Record<typeof kind, () => void>> = {
    empty: () => writeFileSync(path, ''),
    pipe: () => execFileSync('mkfifo', [path]),
    text: () => writeFileSync(path, 'not a video at all'),
    truncated: () => {
      copyFileSync(plain, path)
      truncateSync(path, 2000) // its index stands at the end
    },
    audio: () => make('-f', 'lavfi', '-i', 'sine=d=0.2', '-c:a', 'aac', path),
    cover: () => {
      make('-f', 'lavfi', '-i', 'color=red:s=32x32', '-frames:v', '1', at('cover.png'))
      make(
        '-f',
        'lavfi',
        '-i',
        'sine=d=0.2',
        '-i',
        at('cover.png'),
        '-map',
        '0',
        '-map',
        '1',
        '-c:a',
        'aac',
        '-c:v',
        'copy',
        '-disposition:v',
        'attached_pic',
        path,
      )
    },
    vast: () => {
      make('-f', 'lavfi', '-i', 'color=red:s=16x16', '-frames:v', '2', at('small.gif'))
      const bytes = readFileSync(at('small.gif'))
      bytes.fill(0xff, 6, 10) // the width and the height that its header claims
      writeFileSync(path, bytes)
    },
    tiny: () => makePattern(path, { frames: 2, size: '64x4' }),
  }
  makers[kind]?.()
  expect(await faultOf(path)).toBe(fault)
})

test('a name that looks like an option, a pattern, a protocol or a line end is a name', async () => {
  for (const name of ['-i.mp4', 'frame-%03d.mp4', `it's "here".mp4`, 'two\nlines.mp4', 'concat:a|b.mp4', 'pipe:0', '$(id).mp4']) {
    copyFileSync(plain, at(name))
    expect((await probe(at(name))).frames).toBe(50)
  }
})

test('metadata that imitates a stream does not change what is read', async () => {
  const title = 'x\nOutput #0\n    Stream #0:0: Video: h264, yuv444p, 9999x9999'
  make('-i', plain, '-c', 'copy', '-metadata', `title=${title}`, at('titled.mkv'))
  expect(await probe(at('titled.mkv'))).toMatchObject({ codec: 'mpeg4', pixelFormat: 'yuv420p', width: 64, height: 48 })
})

test('a program that never ends is ended with all that it started', async () => {
  const fake = at('endless.sh')
  writeFileSync(fake, `#!/bin/sh\nsleep 1000 &\necho $!\nwait\n`)
  chmodSync(fake, 0o755)
  const pids: number[] = []
  const read = async (output: AsyncIterable<Buffer>) => {
    for await (const chunk of output) pids.push(Number(chunk.toString()))
  }
  const run = { path: fake, args: [], read, timeoutMs: 60_000 }
  await expect(runFfmpeg({ ...run, signal: never, silenceMs: 200 })).rejects.toMatchObject({ fault: 'timed-out' })
  const cancelled = new AbortController()
  setTimeout(() => cancelled.abort(new Error('stopped by hand')), 200)
  await expect(runFfmpeg({ ...run, signal: cancelled.signal, silenceMs: 60_000 })).rejects.toThrow('stopped by hand')
  expect(pids).toHaveLength(2)
  const states = execFileSync('ps', ['-o', 'stat=', '-p', [process.pid, ...pids].join()])
    .toString()
    .trim()
    .split('\n')
  expect(states.filter((state) => !state.startsWith('Z'))).toHaveLength(1) // this test itself
})
