import { StudioError } from '#contracts/errors.ts'
import type { ExportPlan, LeftOutReason } from '#contracts/export.ts'
import { isCode, sha256 } from '../../store/safe-fs.ts'
import { readPixels } from '../dataset-files.ts'
import { Originals } from '../originals.ts'
import { pictureFormat } from '../picture.ts'
import { encodePng } from '../write-image.ts'
import type { ExportItem, ExportPicture } from './export-item.ts'
import type { ExportLatents } from './export-latents.ts'
import type { Layout } from './layout.ts'

/** Where the pixels of items are. */
export interface PictureRooms {
  plan: Pick<ExportPlan, 'pixels'>
  datasetFolder: string
  /** Of the project's copies. */
  originalsFolder: string
  /** Edge of the training pictures. */
  imageSize: number
  /** Of the training pictures; null where none are exported. */
  latents: ExportLatents | null
}

/** A picture, or why there is none. */
export type Made = { picture: ExportPicture } | { reason: LeftOutReason; detail: string }

/** An item on its way, with its original's bytes; null where they cannot be had or are not asked for. */
export interface Source {
  item: ExportItem
  bytes: Uint8Array | null
}

const endings = { png: 'png', jpeg: 'jpg', webp: 'webp', gif: 'gif', tiff: 'tif', avif: 'avif' } as const

/** How the pictures of an export come to be: from the trainer's own pixels, or from the files that these were made from. */
export class ExportPictures {
  readonly #rooms: PictureRooms
  readonly #layout: Pick<Layout, 'endings'>

  constructor(rooms: PictureRooms, layout: Pick<Layout, 'endings'>) {
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
  async make(source: Source): Promise<Made> {
    if (source.item.isClip) return { reason: 'clip', detail: 'It is a clip of a video, and exports hold pictures only.' }
    return this.#rooms.plan.pixels === 'originals' ? this.#original(source) : this.#training(source.item)
  }

  async #training(item: ExportItem): Promise<Made> {
    const { imageSize, latents: room } = this.#rooms
    const rgb = this.#pixels(item)
    if (!rgb || sha256(rgb) !== item.pixelHash)
      return { reason: 'damaged', detail: 'Its training pixels are damaged on the disk. Import the picture again.' }
    const latents = room && room.file(item)
    if (room && !latents)
      return { reason: 'damaged', detail: 'Its latents are damaged on the disk. Train with the autoencoder, which makes them again.' }
    return { picture: { bytes: await encodePng(rgb, imageSize, imageSize), ending: 'png', width: imageSize, height: imageSize, latents } }
  }

  /** What the trainer gets; null where the shard is gone or too short. */
  #pixels(item: ExportItem): Uint8Array | null {
    try {
      return readPixels(this.#rooms.datasetFolder, item, this.#rooms.imageSize)
    } catch (error) {
      if ((error instanceof StudioError && error.code === 'corrupt-file') || isCode(error, 'ENOENT')) return null
      throw error
    }
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
