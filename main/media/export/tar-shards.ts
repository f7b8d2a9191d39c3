import type { NewFolder } from '../../store/safe-fs.ts'
import type { ExportFile } from './export-item.ts'
import { TarFile } from './tar-file.ts'

/** A tar ends with so many samples, or so many bytes. */
export const samplesLimit = 10_000
const limitBytes = 1024 ** 3

/** Tars of samples, one after the other under numbered names. */
export class TarShards {
  readonly #folder: NewFolder
  readonly #nameOf: (number: number) => string
  #number = 0
  #samples = 0
  #open: TarFile | null = null
  /** Of the tars that are ended. */
  sizeBytes = 0

  constructor(folder: NewFolder, nameOf: (number: number) => string) {
    this.#folder = folder
    this.#nameOf = nameOf
  }

  /** Adds the files of one sample; they never lie in different tars. */
  async add(files: readonly ExportFile[]): Promise<void> {
    const bytes = files.reduce((sum, { bytes: { length } }) => sum + length, 0)
    const isFull = this.#open !== null && (this.#samples >= samplesLimit || this.#open.sizeBytes + bytes > limitBytes)
    if (isFull) await this.keep()
    this.#open ??= new TarFile(await this.#folder.file(this.#nameOf(this.#number)))
    for (const file of files) await this.#open.add(file)
    this.#samples++
  }

  /** Ends the tar that is open. */
  async keep(): Promise<void> {
    if (!this.#open) return
    await this.#open.keep()
    this.sizeBytes += this.#open.sizeBytes
    this.#open = null
    this.#number++
    this.#samples = 0
  }

  async discard(): Promise<void> {
    await this.#open?.discard()
    this.#open = null
  }
}
