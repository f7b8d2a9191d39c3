import { PictureError } from '../picture.ts'
import type { EntryType } from './archive-entry.ts'

/** Bytes by their place; fewer than asked for at the end. */
export interface ByteReader {
  read(at: number, count: number): Promise<Uint8Array>
}

/** An entry of a tar archive: what it is called, what it is and where its bytes lie. */
export interface TarEntry {
  name: string
  type: EntryType
  offset: number
  sizeBytes: number
}

const block = 512
const extensionLimitBytes = 1024 * 1024
const textDecoder = new TextDecoder()

/**
 * The entries of a tar archive in their order: POSIX ustar and pax, GNU's long names and large sizes. Only headers are read. Own code, since
 * the places of the entries are wanted: pictures are read one by one and not in a stream.
 *
 * @throws PictureError corrupt where the archive is damaged or ends too early; what came before is good.
 */
export async function* tarEntries(reader: ByteReader): AsyncGenerator<TarEntry> {
  let next: { name?: string; size?: number; isSparse?: boolean } = {}
  for (let at = 0; ;) {
    const header = await reader.read(at, block)
    if (header.length === 0 || header.every((byte) => byte === 0)) return
    if (header.length < block) throw corrupt('ends in the middle of a header')
    checkSum(header, at)
    const flag = String.fromCharCode(header[156]!)
    const isExtension = 'xgLK'.includes(flag)
    const sizeBytes = (isExtension ? undefined : next.size) ?? numberOf(header, 124, 12)
    const offset = at + block
    at = offset + Math.ceil(sizeBytes / block) * block
    if (!Number.isSafeInteger(at)) throw corrupt('has an entry of an impossible size')
    if (isExtension) {
      if (sizeBytes > extensionLimitBytes) throw corrupt('has a header of more than 1 MiB')
      const bytes = await reader.read(offset, sizeBytes)
      if (bytes.length < sizeBytes) throw corrupt('ends in the middle of a header')
      if (flag === 'L') next.name = textOf(bytes, 0, bytes.length)
      if (flag === 'x') next = { ...next, ...paxOf(bytes) }
      continue
    }
    const name = next.name ?? nameOf(header)
    yield { name, type: next.isSparse ? 'special' : typeOf(flag, name), offset, sizeBytes }
    next = {}
  }
}

const types: Readonly<Record<string, EntryType>> = { '0': 'file', '\0': 'file', '7': 'file', '5': 'folder', '1': 'link', '2': 'link' }

function typeOf(flag: string, name: string): EntryType {
  const type = types[flag] ?? 'special'
  return type === 'file' && name.endsWith('/') ? 'folder' : type // as very old tars have it
}

function nameOf(header: Uint8Array): string {
  const name = textOf(header, 0, 100)
  const isPosix = textOf(header, 257, 6) === 'ustar' && header[262] === 0 // GNU has other things where POSIX has the prefix
  const prefix = isPosix ? textOf(header, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** Name and size of the next entry, as pax has them: "length key=value\n". */
function paxOf(bytes: Uint8Array): { name?: string; size?: number; isSparse?: boolean } {
  const found: { name?: string; size?: number; isSparse?: boolean } = {}
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const space = bytes.indexOf(32, at)
    const length = space < 0 ? NaN : Number(textDecoder.decode(bytes.subarray(at, space)))
    if (!(length > space - at + 1) || at + length > bytes.length) throw corrupt('has a damaged pax header')
    const record = textDecoder.decode(bytes.subarray(space + 1, at + length - 1))
    const [key, value] = [record.slice(0, record.indexOf('=')), record.slice(record.indexOf('=') + 1)]
    if (key === 'path') found.name = value
    if (key.startsWith('GNU.sparse.')) found.isSparse = true
    if (key === 'size') {
      if (!/^\d{1,16}$/.test(value)) throw corrupt('has an entry of an impossible size')
      found.size = Number(value)
    }
    at += length
  }
  return found
}

function checkSum(header: Uint8Array, at: number): void {
  let sum = 0
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 32 : header[i]!
  if (sum !== numberOf(header, 148, 8)) throw corrupt(`has no header where one must be, ${at.toLocaleString('en')} bytes from its start`)
}

/** Octal digits, or GNU's binary form for what does not fit in them. */
function numberOf(header: Uint8Array, at: number, length: number): number {
  const first = header[at]!
  if (first === 0x80) return header.subarray(at + 1, at + length).reduce((value, byte) => value * 256 + byte, 0)
  const text = textOf(header, at, length).trim()
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) throw corrupt('has a number that is none')
  return Number.parseInt(text, 8)
}

function textOf(bytes: Uint8Array, at: number, length: number): string {
  const end = bytes.indexOf(0, at)
  return textDecoder.decode(bytes.subarray(at, end < 0 ? at + length : Math.min(end, at + length)))
}

function corrupt(what: string): PictureError {
  return new PictureError('corrupt', `The tar archive ${what}. What follows is lost; copy it again from its source.`)
}
