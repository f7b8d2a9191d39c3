import type { AutoencoderInfo } from '#contracts/autoencoder.ts'
import { latentsEncoder, latentsSource, type FeatureGroup } from '#engine/ports.ts'
import { KeptFeatures } from '../../store/kept-features.ts'
import type { ExportFile, ExportItem } from './export-item.ts'
import { npyBytes } from './npy.ts'

/** The latents of an export's pictures: the numbers that the trainer reads, as the encoder gave them and before any scaling. */
export class ExportLatents {
  /** What ZigMa's code calls them: "img_feature256.npy" for pictures with an edge of 256 pixels. */
  readonly name: string
  readonly autoencoder: AutoencoderInfo
  /** [channels, height, width] */
  readonly shape: readonly number[]
  readonly #kept: KeptFeatures

  private constructor(autoencoder: AutoencoderInfo, imageSize: number, shape: readonly number[], kept: KeptFeatures) {
    this.name = `img_feature${imageSize}.npy`
    this.autoencoder = autoencoder
    this.shape = shape
    this.#kept = kept
  }

  /** Those of training pictures with an edge of `imageSize` pixels, a multiple of the autoencoder's factor. */
  static async open(cacheFolder: string, autoencoder: AutoencoderInfo, imageSize: number): Promise<ExportLatents> {
    const edge = imageSize / autoencoder.factor
    const shape = [autoencoder.channels, edge, edge]
    const group: FeatureGroup = { kind: 'latents', encoder: latentsEncoder(autoencoder.hash), dtype: autoencoder.dtype, shape }
    return new ExportLatents(autoencoder, imageSize, shape, await KeptFeatures.open(cacheFolder, group))
  }

  has({ pixelHash }: Pick<ExportItem, 'pixelHash'>): boolean {
    return this.#kept.has(latentsSource(pixelHash, false))
  }

  /** The file of a picture; null where its latents are not there or damaged. */
  file({ pixelHash }: Pick<ExportItem, 'pixelHash'>): ExportFile | null {
    const kept = this.#kept.read(latentsSource(pixelHash, false))
    return kept && { name: this.name, bytes: npyBytes(numbers(kept, this.autoencoder.dtype), this.shape) }
  }
}

/** Kept numbers as float32, which has every float16. */
function numbers(kept: Uint8Array, dtype: AutoencoderInfo['dtype']): Float32Array {
  const { buffer } = Uint8Array.from(kept) // numbers must lie at multiples of their size
  return dtype === 'f32' ? new Float32Array(buffer) : Float32Array.from(new Float16Array(buffer))
}
