interface Chunk {
  size: number
  free: boolean
  before: Chunk | null
  after: Chunk | null
}

/** How an arena asks the device for more: twice as much each time, as on a processor, or as much as is wanted, as on a GPU. */
export type Growth = 'doubling' | 'as-wanted'

const granule = 256
const firstRegionBytes = 2 ** 20
/** A free chunk is given whole unless at least this much, or at least half of it, would be left. */
const largestWaste = 128 * 2 ** 20

export const rounded = (bytes: number): number => Math.max(1, Math.ceil(bytes / granule)) * granule

/**
 * ONNX Runtime's arena, played with sizes alone: best fit among free chunks, neighbors joined when both are free. What it takes from the device
 * is more than what is in use at once, by an amount that only the sequence of sizes tells.
 */
export class ArenaModel {
  /** The most in use at once, and what was taken from the device for it. */
  peakBytes = 0
  reservedBytes = 0
  #inUse = 0
  #nextRegionBytes = firstRegionBytes
  readonly #growth: Growth
  readonly #free = new Set<Chunk>()

  constructor(growth: Growth) {
    this.#growth = growth
  }

  take(bytes: number): Chunk {
    const wanted = rounded(bytes)
    const chunk = this.#bestFit(wanted) ?? this.#grow(wanted)
    this.#free.delete(chunk)
    if (chunk.size >= 2 * wanted || chunk.size - wanted >= largestWaste) this.#split(chunk, wanted)
    chunk.free = false
    this.#inUse += chunk.size
    this.peakBytes = Math.max(this.peakBytes, this.#inUse)
    return chunk
  }

  give(chunk: Chunk): void {
    this.#inUse -= chunk.size
    chunk.free = true
    let joined = chunk
    if (chunk.after?.free) this.#join(chunk, chunk.after)
    if (chunk.before?.free) {
      joined = chunk.before
      this.#join(joined, chunk)
    }
    this.#free.add(joined)
  }

  #bestFit(wanted: number): Chunk | null {
    let best: Chunk | null = null
    for (const chunk of this.#free) if (chunk.size >= wanted && (!best || chunk.size < best.size)) best = chunk
    return best
  }

  #grow(wanted: number): Chunk {
    let size = wanted
    if (this.#growth === 'doubling') {
      const enough = this.#nextRegionBytes >= wanted
      while (this.#nextRegionBytes < wanted) this.#nextRegionBytes *= 2
      size = this.#nextRegionBytes
      if (enough) this.#nextRegionBytes *= 2
    }
    this.reservedBytes += size
    return { size, free: true, before: null, after: null }
  }

  #split(chunk: Chunk, size: number): void {
    const rest: Chunk = { size: chunk.size - size, free: true, before: chunk, after: chunk.after }
    if (chunk.after) chunk.after.before = rest
    chunk.after = rest
    chunk.size = size
    this.#free.add(rest)
  }

  #join(first: Chunk, second: Chunk): void {
    this.#free.delete(first)
    this.#free.delete(second)
    first.size += second.size
    first.after = second.after
    if (second.after) second.after.before = first
  }
}

export type { Chunk }
