import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'
import { PictureError } from '../picture.ts'
import type { ArchiveLimits } from './archive-entry.ts'
import { openRegular, readInto } from './bounded-file.ts'
import type { ByteReader } from './tar-entry.ts'

/** The bytes of a tar, compressed by gzip or not. */
export interface TarBytes extends ByteReader {
  /** Whether going back means to begin anew. */
  readonly isForwardOnly: boolean
  close(): Promise<void>
}

/** @throws PictureError when it cannot be opened. */
export async function openTarBytes(path: string, limits: ArchiveLimits): Promise<TarBytes> {
  const handle = await openRegular(path)
  const { buffer } = await handle.read(new Uint8Array(2), 0, 2, 0)
  const { size } = await handle.stat()
  return buffer[0] === 0x1f && buffer[1] === 0x8b ? new GunzippedBytes(handle, size, limits) : new PlainBytes(handle, size)
}

class PlainBytes implements TarBytes {
  readonly isForwardOnly = false
  readonly #handle: FileHandle
  readonly #sizeBytes: number

  constructor(handle: FileHandle, sizeBytes: number) {
    this.#handle = handle
    this.#sizeBytes = sizeBytes
  }

  async read(at: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(count, this.#sizeBytes - at)))
    return bytes.subarray(0, await readInto(this.#handle, at, bytes))
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

const chunkBytes = 256 * 1024
/** Small files compress well; what is larger than this and far larger than its archive is a trap. */
const harmlessBytes = 64 * 1024 * 1024

class GunzippedBytes implements TarBytes {
  readonly isForwardOnly = true
  readonly #handle: FileHandle
  readonly #sizeBytes: number
  readonly #limits: ArchiveLimits
  #flow: { file: Readable; gunzip: Gunzip; chunks: AsyncIterator<Buffer> } | null = null
  /** Of the first byte that was not given yet, which is the first of `rest`. */
  #position = 0
  #rest: Uint8Array = new Uint8Array()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(handle: FileHandle, sizeBytes: number, limits: ArchiveLimits) {
    this.#handle = handle
    this.#sizeBytes = sizeBytes
    this.#limits = limits
  }

  /** One read after the other: there is one flow of bytes. */
  read(at: number, count: number): Promise<Uint8Array> {
    const mine = this.#turn.then(() => this.#readNow(at, count))
    this.#turn = mine.catch(() => undefined) // told to the one who asked
    return mine
  }

  async close(): Promise<void> {
    await this.#turn
    this.#stop()
    await this.#handle.close()
  }

  async #readNow(at: number, count: number): Promise<Uint8Array> {
    if (at < this.#position) this.#stop()
    while (this.#position + this.#rest.length <= at) if (!(await this.#more())) return new Uint8Array()
    this.#drop(at - this.#position)
    const parts: Uint8Array[] = []
    for (let missing = count; missing > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) break
      const part = this.#rest.subarray(0, missing)
      parts.push(part)
      this.#drop(part.length)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  #drop(count: number): void {
    this.#rest = this.#rest.subarray(count)
    this.#position += count
  }

  /** The next chunk becomes the rest; what was left of the last one is dropped. False at the end. */
  async #more(): Promise<boolean> {
    this.#drop(this.#rest.length)
    const flow = (this.#flow ??= this.#start())
    let next: IteratorResult<Buffer>
    try {
      next = await flow.chunks.next()
    } catch (error) {
      this.#stop()
      throw new PictureError('corrupt', 'The compressed tar archive is damaged or incomplete. Copy it again from its source.', error)
    }
    if (next.done) return false
    this.#rest = next.value
    const unpacked = this.#position + this.#rest.length
    const isTrap = unpacked > harmlessBytes && unpacked > this.#sizeBytes * this.#limits.ratio
    if (!isTrap && unpacked <= this.#limits.totalBytes) return true
    this.#stop()
    const sentence = `The archive unpacks to more than ${this.#limits.ratio} times its size and is taken for a trap.`
    throw new PictureError('bomb', isTrap ? sentence : 'The archive unpacks to more than is read. Split it.')
  }

  #start() {
    const gunzip = createGunzip({ chunkSize: chunkBytes })
    const file = Readable.from(this.#packed(), { objectMode: false })
    file.on('error', (error) => gunzip.destroy(error))
    file.pipe(gunzip)
    return { file, gunzip, chunks: (gunzip as AsyncIterable<Buffer>)[Symbol.asyncIterator]() }
  }

  async *#packed(): AsyncGenerator<Uint8Array> {
    for (let at = 0; ;) {
      const { buffer, bytesRead } = await this.#handle.read(new Uint8Array(chunkBytes), 0, chunkBytes, at)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
      at += bytesRead
    }
  }

  #stop(): void {
    this.#flow?.file.destroy()
    this.#flow?.gunzip.destroy()
    this.#flow = null
    this.#position = 0
    this.#rest = new Uint8Array()
  }
}
