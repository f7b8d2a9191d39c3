import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { constants as zlib, crc32, inflateRaw, inflateRawSync } from 'node:zlib'
import yauzl from 'yauzl'
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
  type EntryType,
} from './archive-entry.ts'
import { checkSize, openRegular, readRange } from './bounded-file.ts'
import type { FileTree, TreeFile } from './file-tree.ts'
import type { Remark } from './source-item.ts'

/** What is kept of an entry: 100,000 of them are to take little memory. */
type ZipEntry = Pick<yauzl.Entry, 'compressedSize' | 'uncompressedSize' | 'compressionMethod' | 'crc32' | 'relativeOffsetOfLocalHeader'>
interface Listed {
  name: string
  entry: ZipEntry
  refused: Remark | null
}

const inflate = promisify(inflateRaw)
const [stored, deflated] = [0, 8]
const headBytes = 1024 // packed; unpacks to the first bytes of the file in either method

/** The files of a zip archive, in the order of their names. Nothing is unpacked to disk, and no entry to more than it announces. */
export class ZipTree implements FileTree {
  readonly kind = 'zip archive'
  readonly #zip: yauzl.ZipFile
  readonly #handle: FileHandle
  readonly #listed: readonly Listed[]
  readonly #names: EntryNames<ZipEntry>

  private constructor(zip: yauzl.ZipFile, handle: FileHandle, listed: readonly Listed[], names: EntryNames<ZipEntry>) {
    this.#zip = zip
    this.#handle = handle
    this.#listed = listed
    this.#names = names
  }

  /** @throws PictureError when it is no zip archive that can be read. */
  static async open(path: string, limits: ArchiveLimits = archiveLimits): Promise<ZipTree> {
    const handle = await openRegular(path)
    try {
      const zip = await yauzl.fromRandomAccessReaderPromise(new HandleReader(handle), (await handle.stat()).size, {
        autoClose: false,
        decodeStrings: false,
        validateEntrySizes: false, // done entry by entry, so that a bad one does not end the rest
      })
      const names = new EntryNames<ZipEntry>()
      return new ZipTree(zip, handle, await listEntries(zip, names, limits), names)
    } catch (error) {
      await handle.close()
      if (error instanceof PictureError) throw error
      if (/encrypt/i.test(firstLine(error))) throw new PictureError('encrypted', encryptedSentence, error)
      throw new PictureError(
        'corrupt',
        `The zip archive is damaged or incomplete (${firstLine(error)}). Copy it again from its source.`,
        error,
      )
    }
  }

  async *files(): AsyncGenerator<TreeFile> {
    for (const { name, entry, refused } of this.#listed) yield refused ? refusedFile(name, refused) : this.#file(name, entry)
  }

  async find(name: string): Promise<TreeFile | null> {
    const entry = this.#names.get(name)
    return entry && this.#file(name, entry)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  #file(name: string, entry: ZipEntry): TreeFile {
    return {
      name,
      refused: null,
      path: null,
      read: (limitBytes) => this.#read(entry, limitBytes),
      head: (count) => this.#head(entry, count),
    }
  }

  async #read(entry: ZipEntry, limitBytes: number): Promise<Uint8Array> {
    checkSize(Math.max(entry.uncompressedSize, entry.compressedSize), limitBytes)
    try {
      const packed = await this.#packed(entry, entry.compressedSize)
      const isStored = entry.compressionMethod === stored
      const bytes = isStored ? packed : await inflate(packed, { maxOutputLength: Math.max(1, entry.uncompressedSize) })
      if (bytes.length !== entry.uncompressedSize) throw new RangeError(`${bytes.length} bytes instead of ${entry.uncompressedSize}`)
      if (crc32(bytes) !== entry.crc32) throw new RangeError('its checksum is wrong')
      return bytes
    } catch (error) {
      throw new PictureError(
        'corrupt',
        `The entry cannot be unpacked (${firstLine(error)}). Copy the archive again from its source.`,
        error,
      )
    }
  }

  async #head(entry: ZipEntry, count: number): Promise<Uint8Array> {
    try {
      const packed = await this.#packed(entry, Math.min(headBytes, entry.compressedSize))
      const isStored = entry.compressionMethod === stored
      return (isStored ? packed : inflateRawSync(packed, { finishFlush: zlib.Z_SYNC_FLUSH })).subarray(0, count)
    } catch {
      return new Uint8Array() // begins like nothing that is known; whoever reads it is told why
    }
  }

  async #packed(entry: ZipEntry, count: number): Promise<Uint8Array> {
    // Typed as one of its own entries, of which it uses the place and the size.
    const { fileDataStart } = await this.#zip.readLocalFileHeaderPromise(entry as yauzl.Entry, { minimal: true })
    return readRange(this.#handle, fileDataStart, count)
  }
}

async function listEntries(zip: yauzl.ZipFile, names: EntryNames<ZipEntry>, limits: ArchiveLimits): Promise<Listed[]> {
  if (zip.entryCount > limits.entries) throw tooManyEntries(limits)
  const listed: Listed[] = []
  let [number, totalBytes] = [0, 0]
  for await (const raw of zip.eachEntry()) {
    number++
    const { name, refused } = safeName(nameOf(raw))
    const type = typeOf(raw, name)
    if (type === 'folder') continue
    totalBytes += raw.uncompressedSize
    const { compressedSize, uncompressedSize, compressionMethod, crc32: sum, relativeOffsetOfLocalHeader } = raw
    const entry: ZipEntry = { compressedSize, uncompressedSize, compressionMethod, crc32: sum, relativeOffsetOfLocalHeader }
    const why = refused ?? typeRefusal(type) ?? entryRefusal(raw, totalBytes, limits) ?? names.add(name, entry)
    listed.push({ name: why?.reason === 'unsafe-name' ? `${name} (entry ${number})` : name, entry, refused: why })
  }
  return listed.sort((a, b) => (a.name < b.name ? -1 : 1))
}

const encryptedSentence = 'It is encrypted. Unpack the archive with its password and import the folder.'

function entryRefusal(entry: yauzl.Entry, totalBytes: number, limits: ArchiveLimits): Remark | null {
  if (entry.isEncrypted()) return { reason: 'encrypted', detail: encryptedSentence }
  if (![stored, deflated].includes(entry.compressionMethod))
    return {
      reason: 'unsupported-format',
      detail: `The entry is packed by method ${entry.compressionMethod}. Pack the archive anew with "deflate", which all programs have.`,
    }
  return bombRefusal(entry.compressedSize, entry.uncompressedSize, totalBytes, limits)
}

/** Names are UTF-8 where the archive says so, else in the old code page of DOS. */
function nameOf(entry: yauzl.Entry): string {
  // Without decodeStrings the reader leaves names as bytes; backslashes are left to our own rule.
  return yauzl.getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true)
}

const unixTypes: Readonly<Record<number, EntryType>> = { 0o04: 'folder', 0o12: 'link', 0o10: 'file', 0o00: 'file' }

function typeOf({ versionMadeBy, externalFileAttributes }: yauzl.Entry, name: string): EntryType {
  const isUnix = versionMadeBy >>> 8 === 3
  const type = isUnix ? (unixTypes[externalFileAttributes >>> 28] ?? 'special') : 'file'
  return type === 'file' && name.endsWith('/') ? 'folder' : type
}

/** Reads through a handle that stays ours to close. */
class HandleReader extends yauzl.RandomAccessReader {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    super()
    this.#handle = handle
  }

  override read(buffer: Buffer, offset: number, length: number, position: number, done: (error: Error | null) => void): void {
    readRange(this.#handle, position, length).then(
      (bytes) => {
        buffer.set(bytes, offset)
        done(null)
      },
      (cause: unknown) => done(new RangeError('it ends too early', { cause })),
    )
  }
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0]!.slice(0, 100)
}
