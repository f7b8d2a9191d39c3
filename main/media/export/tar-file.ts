import type { NewFile } from '../../store/safe-fs.ts'
import type { ExportFile } from './export-item.ts'

const block = 512
const nameLimitBytes = 100
const writeBytes = 1024 * 1024
const encoder = new TextEncoder()

/** A tar that is written entry by entry. The same entries give the same bytes: times, owners and permissions are always the same. */
export class TarFile {
  readonly #file: NewFile
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  sizeBytes = 0

  constructor(file: NewFile) {
    this.#file = file
  }

  async add({ name, bytes }: ExportFile): Promise<void> {
    const content = typeof bytes === 'string' ? encoder.encode(bytes) : bytes
    const rest = (block - (content.length % block)) % block
    this.#waiting.push(tarHeader(name, content.length), content, new Uint8Array(rest))
    this.#waitingBytes += block + content.length + rest
    this.sizeBytes += block + content.length + rest
    if (this.#waitingBytes >= writeBytes) await this.#flush()
  }

  /** Ends the tar; it is there from then on. */
  async keep(): Promise<void> {
    this.#waiting.push(new Uint8Array(2 * block))
    this.sizeBytes += 2 * block
    await this.#flush()
    await this.#file.keep()
  }

  discard(): Promise<void> {
    return this.#file.discard()
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    await this.#file.write(bytes)
  }
}

/** The header of a file in POSIX's ustar form. Names are those of layouts: short, of one part. */
function tarHeader(name: string, sizeBytes: number): Uint8Array {
  if (Buffer.byteLength(name) > nameLimitBytes) throw new TypeError(`tarHeader: the name "${name}" has more than ${nameLimitBytes} bytes`)
  const header = Buffer.alloc(block)
  const octal = (value: number, at: number, digits: number) => header.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1')
  header.write(name, 0)
  octal(0o644, 100, 7)
  octal(0, 108, 7) // owner
  octal(0, 116, 7) // group
  octal(sizeBytes, 124, 11)
  octal(0, 136, 11) // time: the same content shall give the same bytes
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}
