import type { LeftOutReason } from '#contracts/export.ts'
import type { NewFolder } from '../../store/safe-fs.ts'
import type { ExportFile, ExportItem, ExportPicture, ExportVideo } from './export-item.ts'
import type { Layout } from './layout.ts'
import { LineFile } from './line-file.ts'
import { TarShards } from './tar-shards.ts'

export const leftOutName = 'left-out.jsonl'

/** The files of an export while it is written: those of the items, in tars or in folders, lists of them, and what speaks of all. */
export class ExportFiles {
  readonly #folder: NewFolder
  readonly #layout: Layout
  readonly #shards = new Map<string, TarShards>()
  readonly #lists = new Map<string, LineFile>()
  #plainBytes = 0

  constructor(folder: NewFolder, layout: Layout) {
    this.#folder = folder
    this.#layout = layout
  }

  /** What is written so far. */
  get sizeBytes(): number {
    const parts = [...this.#shards.values(), ...this.#lists.values()]
    return parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, this.#plainBytes)
  }

  /** The part that has no order: files of their own. Several items at a time. */
  async place(item: ExportItem, picture: ExportPicture): Promise<void> {
    if (this.#layout.tar) return
    const writes = this.#layout.files(item, picture).map((file) => this.#write(file))
    await Promise.allSettled(writes) // none of them may make a folder anew that is taken away after another failed
    await Promise.all(writes)
  }

  /** The same for a clip. */
  async placeVideo(item: ExportItem, { ending, write }: ExportVideo): Promise<void> {
    const sizeBytes = await this.#folder.made(this.#layout.video!(item, ending), write)
    this.#plainBytes += sizeBytes // not before: others are made meanwhile
  }

  /** The part that has an order: one item after the other. */
  async addVideo(item: ExportItem, video: ExportVideo): Promise<void> {
    await this.#list(item, video)
  }

  /** The same for a picture. */
  async add(item: ExportItem, picture: ExportPicture): Promise<void> {
    const { tar } = this.#layout
    if (tar) {
      const first = tar(item.split, 0) // the same for splits that lie together
      const shards = this.#shards.get(first) ?? new TarShards(this.#folder, (number) => tar(item.split, number))
      this.#shards.set(first, shards)
      await shards.add(this.#layout.files(item, picture))
    }
    await this.#list(item, picture)
  }

  leaveOut(line: { source: string; reason: LeftOutReason; detail: string }): Promise<void> {
    return this.#line(leftOutName, JSON.stringify(line))
  }

  /** Ends all files, those that speak of all items last. */
  async keep(readme: (sizeBytes: number) => string): Promise<void> {
    for (const part of [...this.#shards.values(), ...this.#lists.values()]) await part.keep()
    for (const file of this.#layout.extras()) await this.#write(file)
    await this.#write({ name: 'README.md', bytes: readme(this.sizeBytes) })
  }

  /** Closes what is open. Files that were kept already go with their folder. */
  async discard(): Promise<void> {
    for (const part of [...this.#shards.values(), ...this.#lists.values()]) await part.discard()
  }

  async #list(item: ExportItem, made: Pick<ExportPicture, 'ending'>): Promise<void> {
    const listed = this.#layout.line(item, made, false)
    if (!listed) return
    const first = this.#lists.has(listed.name) ? null : this.#layout.line(item, made, true)
    await this.#line(listed.name, (first ?? listed).line)
  }

  async #line(name: string, line: string): Promise<void> {
    const list = this.#lists.get(name) ?? new LineFile(await this.#folder.file(name))
    this.#lists.set(name, list)
    await list.add(line)
  }

  async #write({ name, bytes }: ExportFile): Promise<void> {
    this.#plainBytes += typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
    await this.#folder.write(name, bytes)
  }
}
