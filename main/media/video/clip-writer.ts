import { createHash, type Hash } from 'node:crypto'
import type { NewFile, SafeFs } from '../../store/safe-fs.ts'
import type { Picks } from './clip-plan.ts'

const shardBytes = 64 * 1024 * 1024
/** Linux 6.18 gives a write of 1 MiB memory in large pieces that lie in no cache: it took up to six times as long as four of this size. */
const blockBytes = 256 * 1024

export interface WrittenClip {
  shard: string
  slot: number
  pixelHash: string
}

/**
 * Writes the clips of one video while its frames go by, in shards of about 64 MiB; a clip never spans two. One block is held in memory, however
 * long a clip is.
 */
export class ClipWriter {
  readonly written: WrittenClip[] = []
  readonly #fs: SafeFs
  readonly #pathOf: (shard: string) => string
  readonly #key: string
  readonly #clips: readonly Picks[]
  #at = 0
  #hash: Hash = createHash('sha256')
  #file: NewFile | null = null
  #shards: string[] = []
  #slot = 0
  #shardSize = 0
  readonly #block = new Uint8Array(blockBytes)
  #blockFill = 0

  /** @param key Names the shards: `<key>-0000` and so on. */
  constructor(fs: SafeFs, pathOf: (shard: string) => string, key: string, clips: readonly Picks[]) {
    this.#fs = fs
    this.#pathOf = pathOf
    this.#key = key
    this.#clips = clips
  }

  /** Whether all clips are written. */
  get done(): boolean {
    return this.written.length === this.#clips.length
  }

  /** Takes the next frame of the video, into as many places of clips as show it. */
  async take(index: number, rgb: Uint8Array): Promise<void> {
    for (let clip = this.#clips[this.written.length]; clip?.[this.#at] === index; clip = this.#clips[this.written.length]) {
      if (this.#at === 0) await this.#startClip()
      this.#hash.update(rgb)
      await this.#write(rgb)
      this.#at++
      if (this.#at === clip.length) this.#endClip(clip.length)
    }
  }

  /** Keeps what is written, on the disk for good. A clip that was begun and not ended is not among it. */
  async keep(): Promise<void> {
    await this.#endShard()
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    await this.#file?.discard()
    this.#file = null
    for (const shard of this.#shards) await this.#fs.remove(this.#pathOf(shard))
  }

  async #startClip(): Promise<void> {
    this.#hash = createHash('sha256')
    if (this.#file && this.#shardSize >= shardBytes) await this.#endShard()
    if (this.#file) return
    const shard = `${this.#key}-${String(this.#shards.length).padStart(4, '0')}`
    this.#file = await this.#fs.newFile(this.#pathOf(shard))
    this.#shards.push(shard)
    ;[this.#slot, this.#shardSize] = [0, 0]
  }

  #endClip(frames: number): void {
    this.written.push({ shard: this.#shards.at(-1)!, slot: this.#slot, pixelHash: this.#hash.digest('hex') })
    this.#slot += frames
    this.#at = 0
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + blockBytes - this.#blockFill)
      this.#block.set(part, this.#blockFill)
      this.#blockFill += part.length
      at += part.length
      if (this.#blockFill === blockBytes) await this.#flush()
    }
    this.#shardSize += bytes.length
  }

  async #flush(): Promise<void> {
    const block = this.#block.subarray(0, this.#blockFill)
    this.#blockFill = 0
    if (block.length > 0) await this.#file?.write(block)
  }

  async #endShard(): Promise<void> {
    if (!this.#file) return
    await this.#flush()
    await this.#file.keep()
    this.#file = null
  }
}
