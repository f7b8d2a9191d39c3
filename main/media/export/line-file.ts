import type { NewFile } from '../../store/safe-fs.ts'

const writeCharacters = 64 * 1024
const encoder = new TextEncoder()

/** A text file that is written line by line. */
export class LineFile {
  readonly #file: NewFile
  #waiting = ''
  sizeBytes = 0

  constructor(file: NewFile) {
    this.#file = file
  }

  async add(line: string): Promise<void> {
    this.#waiting += `${line}\n`
    if (this.#waiting.length >= writeCharacters) await this.#flush()
  }

  async keep(): Promise<void> {
    await this.#flush()
    await this.#file.keep()
  }

  discard(): Promise<void> {
    return this.#file.discard()
  }

  async #flush(): Promise<void> {
    const bytes = encoder.encode(this.#waiting)
    this.#waiting = ''
    this.sizeBytes += bytes.length
    await this.#file.write(bytes)
  }
}
