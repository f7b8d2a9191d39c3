import { createHash } from 'node:crypto'
import { StudioError } from '#contracts/errors.ts'
import type { ExportPlan, LeftOutReason } from '#contracts/export.ts'
import { isCode, sha256 } from '../../store/safe-fs.ts'
import { readPixels } from '../dataset-files.ts'
import { Originals } from '../originals.ts'
import { pictureFormat } from '../picture.ts'
import type { ClipFiles } from '../video/clip-files.ts'
import { encodeFrames, videoEnding, type FramesToEncode } from '../video/encode-frames.ts'
import { encodePng } from '../write-image.ts'
import { kindOf, type ExportItem, type ExportPicture, type ExportVideo } from './export-item.ts'
import type { ExportLatents } from './export-latents.ts'
import type { Layout } from './layout.ts'

/** Where the pixels of items are. */
export interface PictureRooms {
  plan: Pick<ExportPlan, 'pixels'>
  datasetFolder: string
  /** Of the data set. */
  clips: Pick<ClipFiles, 'frames'>
  /** Of the project's copies. */
  originalsFolder: string
  /** Edge of the training pictures; null where there is none. */
  imageSize: number | null
  /** Of the training pictures; null where none are exported. */
  latents: ExportLatents | null
  /** The program that encodes clips; null where none are exported. */
  ffmpeg: string | null
}

/** A picture or a clip, or why there is none. */
export type Made = { picture: ExportPicture } | { video: ExportVideo } | { reason: LeftOutReason; detail: string }

/** An item on its way, with its original's bytes; null where they cannot be had or are not asked for. */
export interface Source {
  item: ExportItem
  bytes: Uint8Array | null
}

const otherKind = {
  clip: 'It is a clip of a video, and this layout holds pictures. Export the clips as a video folder.',
  picture: 'It is a picture, and this layout holds clips. Export the pictures in another layout.',
} as const
const damagedClip: Made = { reason: 'damaged', detail: 'Its frames are damaged on the disk or not there any more. Import the video again.' }

/** What the encoder gets of a clip: so many of its frames from the first on. */
export function encoding(rooms: PictureRooms, item: ExportItem, frames: number, signal: AbortSignal): FramesToEncode {
  const { imageSize, frameRate } = item.clip!
  return { imageSize, frameRate, frames: framesOf(rooms, item, frames, signal), comment: item.id, signal }
}

async function* framesOf({ clips }: PictureRooms, { clip, slot }: ExportItem, frames: number, signal: AbortSignal) {
  for await (const rgb of clips.frames({ shard: clip!.shard, slot, frames }, clip!.imageSize)) {
    signal.throwIfAborted()
    yield rgb
  }
}

/** Whether pixels are not there, or not all of them. */
export function isGone(error: unknown): boolean {
  return (error instanceof StudioError && error.code === 'corrupt-file') || isCode(error, 'ENOENT')
}

const endings = { png: 'png', jpeg: 'jpg', webp: 'webp', gif: 'gif', tiff: 'tif', avif: 'avif' } as const

/** How the pictures and clips of an export come to be: from the trainer's own pixels, or from the files that these were made from. */
export class ExportPictures {
  readonly #rooms: PictureRooms
  readonly #layout: Pick<Layout, 'endings' | 'video'>

  constructor(rooms: PictureRooms, layout: Pick<Layout, 'endings' | 'video'>) {
    this.#rooms = rooms
    this.#layout = layout
  }

  /** The part that is done one item after the other: originals are read in the order in which they lie in their sources. */
  async *sources(items: AsyncIterable<ExportItem> | Iterable<ExportItem>): AsyncGenerator<Source> {
    const originals = this.#rooms.plan.pixels === 'originals' ? new Originals(this.#rooms.originalsFolder) : null
    try {
      for await (const item of items) yield { item, bytes: originals && item.original && (await originals.read(item.original)) }
    } finally {
      await originals?.close()
    }
  }

  /** The part that can be done to several at a time. */
  async make(source: Source, signal: AbortSignal): Promise<Made> {
    const kind = kindOf(source.item)
    if (kind !== (this.#layout.video ? 'clip' : 'picture')) return { reason: kind, detail: otherKind[kind] }
    if (kind === 'clip') return this.#clip(source.item, signal)
    return this.#rooms.plan.pixels === 'originals' ? this.#original(source) : this.#training(source.item)
  }

  async #training(item: ExportItem): Promise<Made> {
    const { latents: room } = this.#rooms
    const imageSize = this.#rooms.imageSize!
    const rgb = this.#pixels(item, imageSize)
    if (!rgb || sha256(rgb) !== item.pixelHash)
      return { reason: 'damaged', detail: 'Its training pixels are damaged on the disk. Import the picture again.' }
    const latents = room && room.file(item)
    if (room && !latents)
      return { reason: 'damaged', detail: 'Its latents are damaged on the disk. Train with the autoencoder, which makes them again.' }
    return { picture: { bytes: await encodePng(rgb, imageSize, imageSize), ending: 'png', width: imageSize, height: imageSize, latents } }
  }

  /** What the trainer gets; null where the shard is gone or too short. */
  #pixels(item: ExportItem, imageSize: number): Uint8Array | null {
    try {
      return readPixels(this.#rooms.datasetFolder, item, imageSize)
    } catch (error) {
      if (isGone(error)) return null
      throw error
    }
  }

  /** Its frames are looked at before they are encoded: a damaged clip is told and leaves no file. */
  async #clip(item: ExportItem, signal: AbortSignal): Promise<Made> {
    const clip = item.clip!
    const hash = createHash('sha256')
    try {
      for await (const rgb of framesOf(this.#rooms, item, clip.frames, signal)) hash.update(rgb)
    } catch (error) {
      if (isGone(error)) return damagedClip
      throw error
    }
    if (hash.digest('hex') !== item.pixelHash) return damagedClip
    const write = (path: string) => encodeFrames(this.#rooms.ffmpeg!, path, encoding(this.#rooms, item, clip.frames, signal))
    return { video: { ending: videoEnding, write } }
  }

  #original({ item, bytes }: Source): Made {
    const format = bytes && pictureFormat(bytes.subarray(0, 32))
    if (!format)
      return {
        reason: 'original-away',
        detail:
          'Its original is not where it was, or is another file now. Connect its drive or put it back, or export the training pixels.',
      }
    const ending = endings[format]
    if (!this.#layout.endings.has(ending))
      return {
        reason: 'format-not-read',
        detail: `Readers of this layout open no .${ending} files. Export the training pixels, which are PNG.`,
      }
    return { picture: { bytes, ending, width: item.width, height: item.height, latents: null } }
  }
}
