import { PictureError } from '../picture.ts'
import {
  archiveLimits,
  bombRefusal,
  EntryNames,
  refusedFile,
  safeName,
  tooManyEntries,
  typeRefusal,
  type ArchiveLimits,
} from './archive-entry.ts'
import { checkSize } from './bounded-file.ts'
import { splitEnding, type FileTree, type TreeFile } from './file-tree.ts'
import type { Remark } from './source-item.ts'
import { openTarBytes, type TarBytes } from './tar-bytes.ts'
import { tarEntries, type TarEntry } from './tar-entry.ts'

interface Listed {
  name: string
  entry: TarEntry
  refused: Remark | null
}

/** The files of a tar archive, compressed by gzip or not, in their order in it. Nothing is unpacked to disk. */
export class TarTree implements FileTree {
  readonly kind = 'tar archive'
  readonly #bytes: TarBytes
  readonly #listed: readonly Listed[]
  readonly #names: EntryNames<TarEntry>
  readonly #texts: ReadonlyMap<TarEntry, Uint8Array>

  private constructor(bytes: TarBytes, listed: readonly Listed[], names: EntryNames<TarEntry>, texts: ReadonlyMap<TarEntry, Uint8Array>) {
    this.#bytes = bytes
    this.#listed = listed
    this.#names = names
    this.#texts = texts
  }

  /** @throws PictureError when it is no tar archive, or one of too many entries. One that is damaged further on gives what comes before. */
  static async open(path: string, limits: ArchiveLimits = archiveLimits): Promise<TarTree> {
    const bytes = await openTarBytes(path, limits)
    const listed: Listed[] = []
    const names = new EntryNames<TarEntry>()
    const texts = new Map<TarEntry, Uint8Array>()
    let [number, totalBytes, textBytes] = [0, 0, 0]
    try {
      for await (const entry of tarEntries(bytes)) {
        if (++number > limits.entries) throw tooManyEntries(limits)
        const { name, refused } = safeName(entry.name)
        if (entry.type === 'folder') continue
        totalBytes += entry.sizeBytes
        const bomb = bombRefusal(entry.sizeBytes, entry.sizeBytes, totalBytes, limits)
        const why = refused ?? typeRefusal(entry.type) ?? bomb ?? names.add(name, entry)
        listed.push({ name: why?.reason === 'unsafe-name' ? `${name} (entry ${number})` : name, entry, refused: why })
        if (why || !bytes.isForwardOnly || !isText(name) || entry.sizeBytes > textLimitBytes) continue
        // Caption files are asked for out of turn, and a compressed tar can only be read from its start.
        textBytes += entry.sizeBytes
        if (textBytes > textsLimitBytes)
          throw new PictureError('too-large', 'The captions in the compressed archive have more than 256 MiB. Unpack it.')
        texts.set(entry, await bytes.read(entry.offset, entry.sizeBytes))
      }
    } catch (error) {
      if (!(error instanceof PictureError) || error.reason !== 'corrupt' || listed.length === 0) {
        await bytes.close()
        throw error
      }
      listed.push({ name: '(end of the archive)', entry: noEntry, refused: { reason: 'corrupt', detail: error.message } })
    }
    return new TarTree(bytes, listed, names, texts)
  }

  async *files(): AsyncGenerator<TreeFile> {
    for (const { name, entry, refused } of this.#listed) yield refused ? refusedFile(name, refused) : this.#file(name, entry)
  }

  async find(name: string): Promise<TreeFile | null> {
    const entry = this.#names.get(name)
    return entry && this.#file(name, entry)
  }

  close(): Promise<void> {
    return this.#bytes.close()
  }

  #file(name: string, entry: TarEntry): TreeFile {
    const { offset, sizeBytes } = entry
    const read = async (limitBytes: number) => {
      checkSize(sizeBytes, limitBytes)
      const bytes = this.#texts.get(entry) ?? (await this.#bytes.read(offset, sizeBytes))
      if (bytes.length < sizeBytes)
        throw new PictureError('corrupt', 'The archive ends in the middle of this entry. Copy it again from its source.')
      return bytes
    }
    return { name, refused: null, path: null, read, head: (count) => this.#bytes.read(offset, Math.min(count, sizeBytes)) }
  }
}

const noEntry: TarEntry = { name: '', type: 'special', offset: 0, sizeBytes: 0 }
const textLimitBytes = 1024 * 1024
const textsLimitBytes = 256 * 1024 * 1024
const textEndings = new Set(['.txt', '.caption', '.json', '.jsonl', '.csv', '.cls'])
const isText = (name: string): boolean => textEndings.has(splitEnding(name)[1])
