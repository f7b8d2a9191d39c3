import { permutation, streams, uniform } from '../random/philox.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Examples, Images } from './examples.ts'

/**
 * Which items a step trains on: the showings of an epoch in a new shuffled order each epoch, a function of seed and step only, so that a resumed
 * run sees the same. An item that is shown more than once stands as often among `items`.
 */
export class DataOrder {
  readonly #items: ArrayLike<number>
  readonly #seed: number
  readonly #batchSize: number
  readonly #orders = new Map<number, Int32Array>()

  constructor(items: ArrayLike<number>, seed: number, batchSize: number) {
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
  /** Of all items, in the form of the examples */ images: Images
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
  readonly #examples: Examples
  readonly #text: { tokenizer: Tokenizer; tokens: number } | null
  /** Two in turn: one is trained on while the next is read. */
  readonly #images: readonly [Images, Images]
  #reads = 0

  /** `text`: with which tokenizer, and how many tokens a caption; null where captions are not read. */
  constructor(examples: Examples, batchSize: number, text: { tokenizer: Tokenizer; tokens: number } | null) {
    this.#examples = examples
    this.#text = text
    this.#images = [examples.room(batchSize), examples.room(batchSize)]
  }

  /**
   * The pictures and captions of `items`, as many as the size says: by chance, which is a function of seed and step, or unmirrored and with the
   * captions that count. The pictures lie in memory that the read after the next uses again. Where nothing has to be waited for, all is read at once.
   */
  async read(items: readonly number[], chance: Chance | null): Promise<Batch> {
    const images = this.#images[this.#reads++ % 2]!
    const draw = (stream: number) => uniform(items.length, { seed: chance!.seed, stream, step: chance!.step })
    const mirrored = chance?.flip ? draw(streams.flip) : null
    for (const [place, item] of items.entries()) {
      const reading = this.#examples.read(item, mirrored !== null && mirrored[place]! < 0.5, images, place)
      if (reading) await reading
    }
    return { images, ids: this.#text && this.#ids(items, chance ? draw(streams.caption) : null, this.#text) }
  }

  #ids(items: readonly number[], choice: Float32Array | null, { tokenizer, tokens }: { tokenizer: Tokenizer; tokens: number }): Int32Array {
    const ids = new Int32Array(items.length * tokens)
    items.forEach((item, i) => {
      const captions = this.#examples.captions[item]!
      ids.set(tokenizer.encode(captions[Math.floor((choice?.[i] ?? 0) * captions.length)]!, tokens), i * tokens)
    })
    return ids
  }
}
