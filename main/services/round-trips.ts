import type { AutoencoderInfo, RoundTrip } from '#contracts/autoencoder.ts'
import type { RoundTripAnswer } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { mediaUrl } from '#contracts/studio.ts'
import { readPixels } from '../media/dataset-files.ts'
import { comparePictures, largestShown, latentColors, type Comparison } from '../media/latent-picture.ts'
import { encodePng } from '../media/write-image.ts'
import type { OpenProject } from './open-project.ts'

interface Stored {
  pixelHash: string
  isClip: boolean
  imageSize: number
  read: () => Promise<Uint8Array> | Uint8Array
}

interface Made extends RoundTripAnswer {
  pixelHash: string
  isClip: boolean
  imageSize: number
  numbers: Float32Array
  largest: number
  comparison: Comparison
}

const kept = 8
const shortHash = 16

/** What an autoencoder makes of pictures and frames of the data set and back. The last few are kept for the page that asks for their parts. */
export class RoundTrips {
  readonly #project: OpenProject
  readonly #made = new Map<string, Promise<Made>>()

  constructor(project: OpenProject) {
    this.#project = project
  }

  /** @param frame of a clip; 0 for a picture. */
  async describe(id: ItemId, frame: number, autoencoder: AutoencoderInfo): Promise<RoundTrip> {
    const made = await this.#of(id, frame, autoencoder)
    const short = autoencoder.hash.slice(0, shortHash)
    const { channels, height, width, largest, comparison, pixelHash, isClip } = made
    const { meanSquaredError, psnr, largestDifference } = comparison
    const version = pixelHash.slice(0, shortHash)
    return {
      autoencoder,
      latents: {
        channels,
        height,
        width,
        channelUrls: Array.from({ length: channels }, (_, channel) => `${mediaUrl.latents(id, short, channel, frame)}&v=${version}`),
        largest,
      },
      originalUrl: isClip ? mediaUrl.clip(id, frame) : mediaUrl.item(id, { version }),
      decodedUrl: `${mediaUrl.decoded(id, short, frame)}&v=${version}`,
      differenceUrl: `${mediaUrl.difference(id, short, frame)}&v=${version}`,
      meanSquaredError,
      psnr,
      largestDifference,
    }
  }

  /** A part of a round trip as a PNG: `latents` (one channel), `decoded` or `difference`; null when there is no such thing. */
  async picture(
    part: string,
    id: ItemId,
    autoencoder: string,
    { channel, frame }: { channel: number; frame: number },
  ): Promise<Uint8Array | null> {
    if (!['latents', 'decoded', 'difference'].includes(part)) return null
    const info = (await this.#project.autoencoders.list()).find(({ hash }) => hash.startsWith(autoencoder))
    const made = info ? await this.#of(id, frame, info).catch(() => null) : null // why not is told where the round trip is described
    if (!made) return null
    if (part === 'decoded') return encodePng(made.rgb, made.imageSize, made.imageSize)
    if (part === 'difference') return encodePng(made.comparison.picture, made.imageSize, made.imageSize)
    const { height, width, channels, numbers, largest } = made
    const size = height * width
    if (channel >= channels) return null
    return encodePng(latentColors(numbers.subarray(channel * size, (channel + 1) * size), largest), width, height)
  }

  async #of(id: ItemId, frame: number, { hash }: AutoencoderInfo): Promise<Made> {
    const stored = await this.#stored(id, frame)
    const key = `${hash} ${stored.pixelHash} ${frame}`
    const known = this.#made.get(key)
    this.#made.delete(key)
    const made = known ?? this.#make(stored, hash)
    this.#made.set(key, made)
    made.catch(() => this.#made.delete(key))
    for (const old of [...this.#made.keys()].slice(0, -kept)) this.#made.delete(old)
    return made
  }

  /** Where the exact bytes are that a trainer gets, of a picture or of a frame of a clip. */
  async #stored(id: ItemId, frame: number): Promise<Stored> {
    const { crops, items, clips, index, dataset, folder } = this.#project
    const [place, clip] = await index.fresh(() => [crops.pixels(id), items.clipPlace(id)] as const)
    if (clip && frame < clip.frames)
      return { pixelHash: clip.pixelHash, isClip: true, imageSize: clip.imageSize, read: () => clips.record(clip, frame, clip.imageSize) }
    if (clip)
      throw new StudioError('not-found', `The clip has ${clip.frames} frames, and there is no frame ${frame + 1}. Choose an earlier one.`)
    const imageSize = await dataset.imageSize()
    if (!place || imageSize === null) throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
    const { pixelHash } = place
    return { pixelHash, isClip: false, imageSize, read: () => readPixels(folder.dataset, place, imageSize) }
  }

  async #make({ read, pixelHash, isClip, imageSize }: Stored, hash: string): Promise<Made> {
    const { engine, autoencoders } = this.#project
    const rgb = await read()
    const answer = await engine.call('engine.roundTrip', { autoencoderFolder: autoencoders.folderOf(hash), imageSize, rgb })
    const numbers = new Float32Array(Uint8Array.from(answer.latents).buffer)
    const comparison = comparePictures(rgb, answer.rgb)
    return { ...answer, pixelHash, isClip, imageSize, numbers, largest: largestShown(numbers), comparison }
  }
}
