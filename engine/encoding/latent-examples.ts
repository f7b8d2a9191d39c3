import { StudioError } from '#contracts/errors.ts'
import type { Autoencoder } from '../autoencoder/autoencoder.ts'
import { latentsSource, type DatasetReader, type FeatureStore } from '../ports.ts'
import { decode, encode } from '../runtime/elements.ts'
import type { Examples } from '../training/examples.ts'

export interface EncodingNews {
  /** Pictures that have their latents, of all; `encoded` of them were made now. */
  progressed(progress: { done: number; total: number; encoded: number }): void
  warned(message: string): void
}

interface Encoding {
  dataset: DatasetReader
  autoencoder: Autoencoder
  store: FeatureStore
  /** Also the mirror image of each picture. */
  mirrored: boolean
  hash: (bytes: Uint8Array) => string
  signal: AbortSignal
  news: EncodingNews
}

/**
 * Pictures as an autoencoder sees them. What the store has is not encoded again; what it lacks is, once. An item that cannot be encoded is put on
 * the store's list with the reason, told and left out. Ends early, with what it has, when the signal aborts.
 *
 * @throws StudioError disk-full; invalid-request when no picture at all can be encoded.
 */
export async function encodeDataset({ dataset, autoencoder, store, mirrored, hash, signal, news }: Encoding): Promise<Examples> {
  const make = async (item: number, isMirrored: boolean): Promise<Float32Array> => {
    const rgb = dataset.image(item)
    if (hash(rgb) !== dataset.pixelHashes[item])
      throw new StudioError('corrupt-file', 'Its training picture is not the one that was imported. Import it again.')
    const latents = await autoencoder.encode(rgb, { mirrored: isMirrored })
    await store.write(latentsSource(dataset.pixelHashes[item], isMirrored), bytesOf(encode(latents, autoencoder.dtype)))
    return latents
  }

  const views = mirrored ? [false, true] : [false]
  const bad = new Map<number, string>()
  const total = dataset.size
  let [encoded, done] = [0, 0]
  news.progressed({ done, total, encoded })
  for (let item = 0; item < total && !signal.aborted; item++) {
    let isNew = false
    for (const view of views) {
      if (bad.has(item) || store.has(latentsSource(dataset.pixelHashes[item]!, view))) continue
      try {
        await make(item, view)
        isNew = true
      } catch (error) {
        bad.set(item, badReason(error))
      }
    }
    if (isNew) encoded++
    done++
    if (isNew || done === total) news.progressed({ done, total, encoded })
  }
  await store.flush()
  if (!signal.aborted) await tellBad()

  async function tellBad(): Promise<void> {
    const items = [...bad].map(([item, reason]) => ({ source: dataset.pixelHashes[item]!, item: dataset.ids[item]!, reason }))
    await store.quarantine(items)
    const [first] = items
    if (!first) return
    if (bad.size === total) throw new StudioError('invalid-request', `None of the ${total} pictures can be encoded: ${first.reason}`)
    news.warned(
      `${items.length} of ${total} pictures cannot be encoded and are left out of the training; the first is ${first.item}: ${first.reason}`,
    )
  }

  const { dtype, shape } = autoencoder
  const size = shape.channels * shape.height * shape.width
  const latentsOf = async (item: number, isMirrored: boolean): Promise<Float32Array> => {
    const source = latentsSource(dataset.pixelHashes[item]!, isMirrored)
    const stored = store.read(source)
    if (stored) return autoencoder.toModel(decode(Uint8Array.from(stored), dtype) as Float32Array)
    if (store.isDamaged(source)) news.warned(`The kept latents of picture ${dataset.ids[item]} were damaged; they are made again.`)
    return autoencoder.toModel(await make(item, isMirrored))
  }
  return {
    shape,
    captions: dataset.captions,
    splits: dataset.splits.map((split, item) => (bad.has(item) ? null : split)),
    repeats: dataset.repeats,
    room: (count) => new Float32Array(count * size),
    read: async (item, isMirrored, images, place) => (images as Float32Array).set(await latentsOf(item, isMirrored), place * size),
    values: async (item, out) => out.set(await latentsOf(item, false)),
  }
}

/** Why an item cannot be encoded; what is wrong with the device or the disk is not the item's fault and is thrown on. */
function badReason(error: unknown): string {
  if (error instanceof StudioError && (error.code === 'not-finite' || error.code === 'corrupt-file')) return error.message
  throw error
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
