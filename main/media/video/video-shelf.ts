import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { FoundVideo, SceneScores, VideoId, VideoProbe, WholeClip } from '#contracts/video.ts'
import type { ProjectFolder } from '../../store/project-folder.ts'
import { sha256, type SafeFs } from '../../store/safe-fs.ts'
import { findFfmpeg } from '../ffmpeg.ts'
import { encodePng } from '../write-image.ts'
import { hashFile } from './file-hash.ts'
import { runFfmpeg } from './ffmpeg-process.ts'
import { probeVideo, type ProbedVideo } from './probe.ts'
import { SceneCache } from './scene-cache.ts'
import { scoreScenes } from './scenes.ts'
import { VideoError } from './video-error.ts'
import { listVideos } from './video-folder.ts'
import { videoInput } from './video-input.ts'
import { wholeClips } from './video-source.ts'

const lookHeight = 240
const looksAtOnce = 2
const lookMs = 20_000

interface ShelvedVideo {
  /** The folder that it was listed with, and its name inside. */
  root: string
  source: string
  path: string
  fileHash: Promise<string> | null
  probed: Promise<ProbedVideo> | null
}

/** The videos that were shown in this project since it was opened, by their ids, and what is known of them. */
export class VideoShelf {
  readonly scenes: SceneCache
  readonly #thumbnails: string
  readonly #fs: SafeFs
  readonly #videos = new Map<VideoId, ShelvedVideo>()
  readonly #wholes = new Map<string, Promise<ReadonlyMap<string, WholeClip>>>()
  readonly #closed = new AbortController()
  readonly #lookers: Promise<unknown>[] = Array.from({ length: looksAtOnce }, () => Promise.resolve())
  #turn = 0
  #program: Promise<string> | null = null

  constructor(folder: Pick<ProjectFolder, 'scenes' | 'thumbnails'>, fs: SafeFs) {
    this.scenes = new SceneCache(folder.scenes, fs)
    this.#thumbnails = folder.thumbnails
    this.#fs = fs
  }

  /** Ends what is being read. */
  close(): void {
    this.#closed.abort(new StudioError('cancelled', 'The project was closed.'))
  }

  /** Puts the videos of a folder on the shelf. */
  async list(folder: string): Promise<FoundVideo[]> {
    this.#wholes.delete(folder) // its lists may say something else now
    return (await listVideos(folder)).map(({ source, path, sizeBytes, modifiedMs }) => {
      const id = `v${sha256(JSON.stringify([path, sizeBytes, modifiedMs])).slice(0, 24)}` as VideoId
      const { fileHash = null, probed = null } = this.#videos.get(id) ?? {}
      this.#videos.set(id, { root: folder, source, path, fileHash, probed })
      return { id, source, sizeBytes }
    })
  }

  pathOf(id: VideoId): string {
    return this.#find(id).path
  }

  /** What its folder says of a video that is a clip as it is; null where it says nothing of the kind. */
  async whole(id: VideoId, mayRead: (path: string) => boolean): Promise<WholeClip | null> {
    const { root, source } = this.#find(id)
    const wholes = this.#wholes.get(root) ?? wholeClips(root, mayRead)
    this.#wholes.set(root, wholes)
    wholes.catch(() => this.#wholes.delete(root)) // its caller hears of it; the next one looks again
    return (await wholes).get(source) ?? null
  }

  /** @throws VideoError with the reason. */
  probe(id: VideoId): Promise<ProbedVideo> {
    const video = this.#find(id)
    video.probed ??= this.ffmpeg().then((ffmpeg) => probeVideo(ffmpeg, video.path, this.#closed.signal))
    video.probed.catch(() => (video.probed = null)) // its caller hears of it; the next one looks again
    return video.probed
  }

  /** Null while the scenes are not looked for yet. */
  async scores(id: VideoId): Promise<SceneScores | null> {
    const video = this.#find(id)
    video.fileHash ??= hashFile(video.path, this.#closed.signal)
    video.fileHash.catch(() => (video.fileHash = null)) // as above
    return this.scenes.get(await video.fileHash)
  }

  /** Looks for the scenes of a file and keeps the scores; nothing is decoded when they are there. Returns the number of frames. */
  async findScenes(path: string, signal: AbortSignal, onProgress: (done: number, total: number | null) => void): Promise<number> {
    const fileHash = await hashFile(path, signal)
    const there = await this.scenes.get(fileHash)
    if (there) return there.scores.length
    const ffmpeg = await this.ffmpeg()
    const { probe } = await probeVideo(ffmpeg, path, signal)
    const scored = await scoreScenes(ffmpeg, path, { signal, onFrame: (done) => onProgress(done, Math.max(done, probe.frames)) })
    await this.scenes.put(fileHash, scored)
    return scored.scores.length
  }

  /** A small picture of a video at a time; null where there is none. Made once, two at a time. */
  async look(id: VideoId, milliseconds: number): Promise<{ bytes: Uint8Array; type: string } | null> {
    if (!this.#videos.has(id)) return null
    const cached = join(this.#thumbnails, `${id}-${milliseconds}.png`)
    const there = await readFile(cached).catch(() => null)
    if (there) return { bytes: there, type: 'image/png' }
    const place = this.#turn++ % looksAtOnce
    const mine = this.#lookers[place]!.then(() => this.#decodeLook(id, milliseconds))
    this.#lookers[place] = mine.catch(() => undefined) // its caller hears of it
    const bytes = await mine
    if (!bytes) return null
    await this.#fs.folder(this.#thumbnails)
    await this.#fs.writeFile(cached, bytes)
    return { bytes, type: 'image/png' }
  }

  /** @throws StudioError not-found with what to do, where there is no ffmpeg. */
  ffmpeg(): Promise<string> {
    this.#program ??= findFfmpeg().then((found) => {
      if (found) return found.path
      this.#program = null // it may be there the next time
      throw new StudioError('not-found', 'Videos need ffmpeg, and none was found. Install it from your system, or name it in FFMPEG_PATH.')
    })
    return this.#program
  }

  async #decodeLook(id: VideoId, milliseconds: number): Promise<Uint8Array | null> {
    try {
      const { path } = this.#find(id)
      const { probe } = await this.probe(id)
      return await decodeLook(await this.ffmpeg(), path, probe, milliseconds, this.#closed.signal)
    } catch (error) {
      if (error instanceof VideoError) return null // told where the video is probed
      throw error
    }
  }

  #find(id: VideoId): ShelvedVideo {
    const found = this.#videos.get(id)
    if (found) return found
    throw new StudioError('not-found', `The video "${id}" is not known since the project was opened. List its folder again.`)
  }
}

async function decodeLook(
  ffmpeg: string,
  path: string,
  probe: VideoProbe,
  milliseconds: number,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const input = await videoInput(path)
  const height = Math.min(lookHeight, probe.height)
  const width = Math.max(1, Math.min(16 * lookHeight, Math.round((probe.width * height) / probe.height)))
  const rgb = new Uint8Array(width * height * 3)
  let filled = 0
  await runFfmpeg({
    path: ffmpeg,
    args: [
      ...['-loglevel', 'error', '-ss', (milliseconds / 1000).toFixed(3), ...input.args, '-map', '0:V:0', '-frames:v', '1'],
      ...['-vf', `scale=${width}:${height}:flags=bicubic`, '-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'],
    ],
    signal,
    silenceMs: lookMs,
    timeoutMs: lookMs,
    read: async (output) => {
      for await (const chunk of output) {
        const part = chunk.subarray(0, rgb.length - filled)
        rgb.set(part, filled)
        filled += part.length
      }
    },
  })
  return filled === rgb.length ? encodePng(rgb, width, height) : null
}
