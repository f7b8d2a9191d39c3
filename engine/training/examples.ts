import type { LatentShape } from '../autoencoder/autoencoder.ts'
import { imageValues, mirror } from '../pixels.ts'
import type { DatasetReader } from '../ports.ts'

/** Pictures of a batch: bytes [B, H, W, 3], as a data set keeps them, or values [B, C, H, W]. */
export type Images = Uint8Array | Float32Array

/** What a model is trained on: items of a data set in the model's space. */
export interface Examples {
  readonly shape: LatentShape
  /** The captions of each item, the one that counts first. */
  readonly captions: readonly (readonly string[])[]
  /** Items of null are left out. */
  readonly splits: readonly ('train' | 'validation' | null)[]
  /** How often an epoch shows each item. */
  readonly repeats: readonly number[]
  /** Memory for some pictures, in the form in which `read` gives them. */
  room(count: number): Images
  /** One item, or its mirror image, into its place in memory of `room`; a promise only where it has to be waited for. */
  read(item: number, mirrored: boolean, images: Images, place: number): Promise<void> | void
  /** One item as values [C, H, W]. */
  values(item: number, out: Float32Array): Promise<void>
}

/** Pictures as they are. */
export function pixelExamples(dataset: DatasetReader): Examples {
  const size = dataset.imageSize
  const bytes = size * size * 3
  return {
    shape: { channels: 3, height: size, width: size },
    captions: dataset.captions,
    splits: dataset.splits,
    repeats: dataset.repeats,
    room: (count) => new Uint8Array(count * bytes),
    read: (item, mirrored, images, place) => {
      const picture = dataset.image(item, (images as Uint8Array).subarray(place * bytes, (place + 1) * bytes))
      if (mirrored) mirror(picture, size)
    },
    values: async (item, out) => imageValues(dataset.image(item), size, out),
  }
}
