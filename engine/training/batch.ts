import type { DatasetReader } from '../ports.ts'
import { permutation, streams, uniform } from '../random/philox.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

/** RGB bytes, row by row -> values in [-1, 1], channel by channel [3, size, size]. */
export function imageValues(rgb: Uint8Array, size: number, out: Float32Array): void {
  const plane = size * size
  for (let pixel = 0; pixel < plane; pixel++) for (let c = 0; c < 3; c++) out[c * plane + pixel] = rgb[pixel * 3 + c]! / 127.5 - 1
}

/** Values [3, height, width] in [-1, 1] -> RGB bytes row by row; what lies outside is cut off. */
export function rgbBytes(values: Float32Array, width: number, height: number): Uint8Array {
  const plane = width * height
  return Uint8Array.from({ length: 3 * plane }, (_, i) =>
    Math.max(0, Math.min(255, Math.round((values[(i % 3) * plane + Math.floor(i / 3)]! + 1) * 127.5))),
  )
}

/**
 * Which items a step trains on: the training items in a new shuffled order each epoch, a function of seed and step only, so that a resumed
 * run sees the same.
 */
export class DataOrder {
  readonly #items: readonly number[]
  readonly #seed: number
  readonly #batchSize: number
  readonly #orders = new Map<number, Int32Array>()

  constructor(items: readonly number[], seed: number, batchSize: number) {
    this.#items = items
    this.#seed = seed
    this.#batchSize = batchSize
  }

  /** Items of the step counted from 1. */
  itemsOf(step: number): number[] {
    return Array.from({ length: this.#batchSize }, (_, i) => {
      const position = (step - 1) * this.#batchSize + i
      const epoch = Math.floor(position / this.#items.length)
      return this.#items[this.#order(epoch)[position % this.#items.length]!]!
    })
  }

  #order(epoch: number): Int32Array {
    let order = this.#orders.get(epoch)
    if (!order) {
      if (this.#orders.size > 1) this.#orders.clear()
      order = permutation(this.#items.length, { seed: this.#seed, stream: streams.dataOrder, step: epoch })
      this.#orders.set(epoch, order)
    }
    return order
  }
}

export interface Batch {
  /** [B, size, size, 3], as the data set keeps them */ images: Uint8Array
  /** [B, tokens]; null without text */ ids: Int32Array | null
}

/** What a step draws by chance: half of the pictures mirrored, where that is asked for, and one of an item's captions. */
export interface Chance {
  seed: number
  step: number
  flip: boolean
}

/** Reads batches of one size. */
export class BatchReader {
  readonly #dataset: DatasetReader
  readonly #text: { tokenizer: Tokenizer; tokens: number } | null
  /** Two in turn: one is trained on while the next is read. */
  readonly #images: readonly [Uint8Array, Uint8Array]
  #reads = 0

  /** `text`: with which tokenizer, and how many tokens a caption; null where captions are not read. */
  constructor(dataset: DatasetReader, batchSize: number, text: { tokenizer: Tokenizer; tokens: number } | null) {
    this.#dataset = dataset
    this.#text = text
    const bytes = batchSize * dataset.imageSize ** 2 * 3
    this.#images = [new Uint8Array(bytes), new Uint8Array(bytes)]
  }

  /**
   * The pictures and captions of `items`, as many as the size says: by chance, which is a function of seed and step, or unmirrored and with the
   * captions that count. The pictures lie in memory that the read after the next uses again.
   */
  read(items: readonly number[], chance: Chance | null): Batch {
    const size = this.#dataset.imageSize
    const bytes = size * size * 3
    const images = this.#images[this.#reads++ % 2]!
    const draw = (stream: number) => uniform(items.length, { seed: chance!.seed, stream, step: chance!.step })
    const mirrored = chance?.flip ? draw(streams.flip) : null
    items.forEach((item, i) => {
      const picture = this.#dataset.image(item, images.subarray(i * bytes, (i + 1) * bytes))
      if (mirrored && mirrored[i]! < 0.5) mirror(picture, size)
    })
    return { images, ids: this.#text && this.#ids(items, chance ? draw(streams.caption) : null, this.#text) }
  }

  #ids(items: readonly number[], choice: Float32Array | null, { tokenizer, tokens }: { tokenizer: Tokenizer; tokens: number }): Int32Array {
    const ids = new Int32Array(items.length * tokens)
    items.forEach((item, i) => {
      const captions = this.#dataset.captions[item]!
      ids.set(tokenizer.encode(captions[Math.floor((choice?.[i] ?? 0) * captions.length)]!, tokens), i * tokens)
    })
    return ids
  }
}

/** Left and right exchanged, in place. */
function mirror(rgb: Uint8Array, size: number): void {
  for (let row = 0; row < size; row++) {
    for (let [left, right] = [row * size * 3, (row * size + size - 1) * 3]; left < right; left += 3, right -= 3) {
      for (let c = 0; c < 3; c++) {
        const swapped = rgb[left + c]!
        rgb[left + c] = rgb[right + c]!
        rgb[right + c] = swapped
      }
    }
  }
}
