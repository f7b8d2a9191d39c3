import { PictureError } from '../picture.ts'
import type { TreeFile } from './file-tree.ts'
import type { Remark } from './source-item.ts'

/** Beyond these an archive is taken for a trap. */
export interface ArchiveLimits {
  entries: number
  /** Unpacked over packed size, of an entry or of a compressed tar; small things are let pass. */
  ratio: number
  ratioFromBytes: number
  /** All entries together, unpacked. */
  totalBytes: number
}

export const archiveLimits: ArchiveLimits = {
  entries: 1_000_000,
  ratio: 200,
  ratioFromBytes: 1024 * 1024,
  totalBytes: 2 ** 40,
}

const zipMarks: ReadonlySet<string> = new Set(['PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08'])

/** Which archive a file is by its first 512 bytes. */
export function archiveFormat(head: Uint8Array): 'zip' | 'tar' | 'gzip' | null {
  const text = (from: number, to: number) => String.fromCharCode(...head.subarray(from, to))
  if (zipMarks.has(text(0, 4))) return 'zip'
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  return text(257, 262) === 'ustar' ? 'tar' : null
}

/** What lies behind a name of an archive. */
export type EntryType = 'file' | 'folder' | 'link' | 'special'

/** The name as it is used, "./" in front taken off; or why it must not be used. */
export function safeName(name: string): { name: string; refused: Remark | null } {
  const plain = name.replace(/^(\.\/)+/, '')
  const why = unsafe(plain)
  return {
    name: why ? name : plain,
    refused: why ? { reason: 'unsafe-name', detail: `The name of the entry ${why}. Nothing of it is read; pack the archive anew.` } : null,
  }
}

function unsafe(name: string): string | null {
  if (name === '') return 'is empty'
  if (name.length > 1024) return `has ${name.length} characters`
  if (name.includes('\0')) return 'holds a NUL'
  if (name.startsWith('/') || /^[a-z]:/i.test(name)) return 'is an absolute path'
  if (name.includes('\\')) return 'holds a backslash'
  if (name.split('/').some((part) => part === '..' || part === '.')) return 'leads out of its folder'
  return null
}

/** Why an entry is not read, by what it is. */
export function typeRefusal(type: EntryType): Remark | null {
  if (type === 'link') return { reason: 'link-outside', detail: 'Links in archives are not followed. Pack the picture itself.' }
  if (type === 'special') return { reason: 'not-a-file', detail: 'The entry is a pipe, a device or something else that is no file.' }
  return null
}

/** Why an entry is taken for a bomb; null for a harmless one. `totalBytes` is what the entries up to it unpack to. */
export function bombRefusal(packedBytes: number, unpackedBytes: number, totalBytes: number, limits: ArchiveLimits): Remark | null {
  if (totalBytes > limits.totalBytes) {
    const gibibytes = (limits.totalBytes / 2 ** 30).toLocaleString('en')
    return { reason: 'bomb', detail: `The archive unpacks to more than ${gibibytes} GiB; entries beyond that are not read. Split it.` }
  }
  if (unpackedBytes < limits.ratioFromBytes || unpackedBytes <= packedBytes * limits.ratio) return null
  const times = Math.round(unpackedBytes / Math.max(1, packedBytes)).toLocaleString('en')
  return {
    reason: 'bomb',
    detail: `The entry unpacks to ${times} times its size, more than ${limits.ratio} times, and is taken for a trap.`,
  }
}

export function tooManyEntries({ entries }: ArchiveLimits): PictureError {
  return new PictureError('bomb', `The archive holds more than ${entries.toLocaleString('en')} entries. Split it.`)
}

/** A file that must not be read. */
export function refusedFile(name: string, refused: Remark): TreeFile {
  const read = async () => {
    throw new PictureError(refused.reason, refused.detail)
  }
  return { name, refused, path: null, read, head: async () => new Uint8Array() }
}

/** Entries of an archive under names that occur once. */
export class EntryNames<E> {
  readonly #entries = new Map<string, E>()

  /** Takes a name; null, or why it cannot be had. */
  add(name: string, entry: E): Remark | null {
    if (this.#entries.has(name))
      return { reason: 'unsafe-name', detail: 'The archive has this name twice; the first entry is the one that is used.' }
    this.#entries.set(name, entry)
    return null
  }

  get(name: string): E | null {
    return this.#entries.get(name) ?? null
  }
}
