import type { DatasetReader } from '../ports.ts'
import { permutation, streams, uniform } from '../random/philox.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

/** RGB bytes, row by row -> values in [-1, 1], channel by channel [3, size, size], mirrored if asked. */
export function imageValues(rgb: Uint8Array, size: number, out: Float32Array, mirrored = false): void {
  const plane = size * size
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const from = (row * size + (mirrored ? size - 1 - column : column)) * 3
      for (let c = 0; c < 3; c++) out[c * plane + row * size + column] = rgb[from + c]! / 127.5 - 1
    }
  }
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
  /** [B, 3, size, size] in [-1, 1] */ images: Float32Array
  /** [B, tokens]; null without text */ ids: Int32Array | null
}

/** The pictures and captions of `items`; with `flipStep`, half of them mirrored, drawn by seed and step. */
export function readBatch(
  dataset: DatasetReader,
  items: readonly number[],
  { tokenizer, tokens, flip }: { tokenizer: Tokenizer | null; tokens: number; flip: { seed: number; step: number } | null },
): Batch {
  const size = dataset.imageSize
  const images = new Float32Array(items.length * 3 * size * size)
  const mirrored = flip ? uniform(items.length, { seed: flip.seed, stream: streams.flip, step: flip.step }) : null
  items.forEach((item, i) => {
    imageValues(
      dataset.image(item),
      size,
      images.subarray(i * 3 * size * size, (i + 1) * 3 * size * size),
      mirrored !== null && mirrored[i]! < 0.5,
    )
  })
  if (!tokenizer) return { images, ids: null }
  const ids = new Int32Array(items.length * tokens)
  items.forEach((item, i) => ids.set(tokenizer.encode(dataset.captions[item]!, tokens), i * tokens))
  return { images, ids }
}
