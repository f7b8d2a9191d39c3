import { Socket } from 'node:net'
import type { Readable } from 'node:stream'

/** What Node reads a child's output with. It is no part of its documented interface, so there is a way without it. */
interface Handle {
  useUserBuffer: unknown
}

/** Records that come from a child, one behind the other in the same bytes. */
export interface RecordSource {
  readonly record: Uint8Array
  /** Whether the child has closed its output. */
  readonly ended: boolean
  /** Fills `record`; false where the end comes first. @param onBytes called whenever some came. */
  next(onBytes: () => void): Promise<boolean>
  /** Nothing is read any more. */
  close(): void
}

/**
 * Reads what a child writes in records of one size. Node's streams make a buffer of 64 KiB for each of the thousands of reads of a video and collect them as garbage,
 * which takes longer than reading does; here the system writes into the record itself. Nothing is read while nobody asks.
 */
export function readRecords(output: Readable, sizeBytes: number): RecordSource {
  const record = new Uint8Array(sizeBytes)
  const handle = output.readableLength === 0 ? takeHandle(output) : null
  return handle ? new DirectSource(record, output, handle) : new StreamSource(record, output)
}

class DirectSource implements RecordSource {
  ended = false
  readonly record: Uint8Array
  readonly #output: Readable
  readonly #socket: Socket
  #filled = 0
  #onBytes: () => void = () => undefined
  #finish: (isWhole: boolean) => void = () => undefined

  constructor(record: Uint8Array, output: Readable, handle: Handle) {
    this.record = record
    this.#output = output
    const onread = { buffer: () => record.subarray(this.#filled), callback: (count: number) => this.#came(count) }
    this.#socket = new Socket({ handle, onread } as object)
    this.#socket.on('error', () => undefined) // it is closed next, and a record stays short
    this.#socket.once('close', () => {
      this.ended = true
      this.#finish(false)
    })
  }

  async next(onBytes: () => void): Promise<boolean> {
    if (this.ended) return false
    this.#onBytes = onBytes
    return new Promise((resolve) => {
      this.#finish = resolve
      this.#socket.resume()
    })
  }

  close(): void {
    this.#socket.destroy()
    this.#output.destroy() // the child has not ended for Node before this one is closed too
  }

  /** False stops the reading until it is resumed. */
  #came(count: number): boolean {
    this.#filled += count
    this.#onBytes()
    if (this.#filled < this.record.length) return true
    this.#filled = 0 // where the next one is read to is asked right after this
    this.#finish(true)
    return false
  }
}

class StreamSource implements RecordSource {
  ended = false
  readonly record: Uint8Array
  readonly #chunks: AsyncIterator<Buffer, undefined>
  #rest = new Uint8Array()

  constructor(record: Uint8Array, output: Readable) {
    this.record = record
    this.#chunks = (output as AsyncIterable<Buffer>)[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
  }

  async next(onBytes: () => void): Promise<boolean> {
    for (let filled = 0; filled < this.record.length;) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next()
        this.ended = next.done === true
        if (next.done) return false
        this.#rest = new Uint8Array(next.value)
        onBytes()
      }
      const part = this.#rest.subarray(0, this.record.length - filled)
      this.record.set(part, filled)
      filled += part.length
      this.#rest = this.#rest.subarray(part.length)
    }
    return true
  }

  close(): void {
    void this.#chunks.return?.()
  }
}

/** Takes the handle from a child's output, which then reads nothing itself any more; null where there is none of the kind. */
function takeHandle(output: Readable): Handle | null {
  const owner = output as Readable & { _handle?: Partial<Handle> | null }
  const handle = owner._handle
  if (!handle || typeof handle.useUserBuffer !== 'function') return null
  owner._handle = null
  return handle as Handle
}
