import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { StudioError } from '#contracts/errors.ts'
import { clipOptions } from '#contracts/video.ts'
import { median } from '#engine/median.ts'
import { findFfmpeg } from '../media/ffmpeg.ts'
import { ClipFiles } from '../media/video/clip-files.ts'
import { frameOutput } from '../media/video/frames.ts'
import { importVideos } from '../media/video/import-videos.ts'
import { probeVideo } from '../media/video/probe.ts'
import { SceneCache } from '../media/video/scene-cache.ts'
import { SafeFs, sha256 } from '../store/safe-fs.ts'
import { timed } from './stopwatch.ts'

const run = promisify(execFile)
const imageSize = 256
const frames = 960 // sixty clips of sixteen: nothing is left over, so both write the same bytes
const signal = new AbortController().signal

export interface VideoFigures {
  video: string
  frames: number
  imageSize: number
  rounds: number
  /** Medians: ffmpeg alone writing raw frames to a file; the import of the same frames as clips; the same with scenes found first. */
  ffmpegSeconds: number
  importSeconds: number
  importWithScenesSeconds: number
  /** ffmpeg's time over the import's, of each round, the median: 1 is as fast as ffmpeg alone. */
  ratio: number
  ratioWithScenes: number
  framesPerSecond: number
  /** Whether both wrote the same bytes. */
  sameBytes: boolean
}

/**
 * How fast videos become clips beside ffmpeg alone writing the same raw frames with the same filters, in turns in one run. The import also hashes
 * the file, reads the frames' times, plans, hashes every clip, syncs the shards to the disk and writes the manifest.
 */
export async function measureVideo(size: string, rounds: number): Promise<VideoFigures> {
  const ffmpeg = (await findFfmpeg())?.path
  if (ffmpeg === undefined)
    throw new StudioError('not-found', 'The measurement needs ffmpeg. Install it from your system, or name it in FFMPEG_PATH.')
  const folder = await mkdtemp(join(tmpdir(), 'zigma-bench-'))
  try {
    const fs = new SafeFs()
    const source = join(folder, 'source')
    await fs.folder(source)
    const video = join(source, 'video.mp4')
    const pattern = ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=30`, '-frames:v', String(frames)]
    await run(ffmpeg, ['-v', 'error', '-nostdin', ...pattern, '-c:v', 'mpeg4', '-q:v', '4', '-pix_fmt', 'yuv420p', video])
    const { probe } = await probeVideo(ffmpeg, video, signal)
    const raw = join(folder, 'raw')
    const output = await frameOutput(ffmpeg, probe, imageSize)
    const alone = async () => {
      await rm(raw, { force: true })
      return timed(() => run(ffmpeg, ['-v', 'error', '-nostdin', '-threads', '2', '-i', video, ...output, '-f', 'rawvideo', raw]))
    }
    let turn = 0
    const imported = async (cutThreshold: number | null) => {
      const datasetFolder = join(folder, `dataset-${turn++}`)
      const scenes = new SceneCache(join(datasetFolder, 'scenes'), fs)
      const options = clipOptions.parse({ imageSize, rules: { frames: 16, cutThreshold } })
      const seconds = await timed(() =>
        importVideos(source, options, { ffmpeg, datasetFolder, scenes, fs, signal, mayRead: () => false, onProgress: () => undefined }),
      )
      const shards = [...new Set((await new ClipFiles(datasetFolder, fs).lines()).flatMap(({ clips }) => clips.map(({ shard }) => shard)))]
      const paths = shards.map((shard) => new ClipFiles(datasetFolder, fs).shardPath(shard))
      const hash = sha256(Buffer.concat(await Promise.all(paths.map((path) => readFile(path)))))
      await rm(datasetFolder, { recursive: true })
      return { seconds, hash }
    }
    const times: { alone: number[]; plain: number[]; scenes: number[] } = { alone: [], plain: [], scenes: [] }
    let sameBytes = true
    for (let round = 0; round <= rounds; round++) {
      const [first, plain, scenes] = [await alone(), await imported(null), await imported(1)]
      sameBytes &&= plain.hash === sha256(await readFile(raw))
      if (round === 0) continue // the first one warms the disk's cache
      times.alone.push(first)
      times.plain.push(plain.seconds)
      times.scenes.push(scenes.seconds)
    }
    const [ffmpegSeconds, importSeconds, importWithScenesSeconds] = [median(times.alone), median(times.plain), median(times.scenes)]
    return {
      ...{ video: `${size}, MPEG-4`, frames, imageSize, rounds, ffmpegSeconds, importSeconds, importWithScenesSeconds },
      ratio: median(times.alone.map((seconds, i) => seconds / times.plain[i]!)),
      ratioWithScenes: median(times.alone.map((seconds, i) => seconds / times.scenes[i]!)),
      framesPerSecond: frames / importSeconds,
      sameBytes,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
