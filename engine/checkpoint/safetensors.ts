import { StudioError } from '#contracts/errors.ts'

export type StoredType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL'

export interface StoredTensor {
  dtype: StoredType
  shape: readonly number[]
  /** Little-endian elements. */
  bytes: Uint8Array
}

export interface Safetensors {
  metadata: Record<string, string>
  tensors: Map<string, StoredTensor>
}

const elementBytes: Readonly<Record<StoredType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
}
const headerLimit = 100_000_000
const nameLimit = 1024

/** The bytes of a safetensors file. Equal content gives equal bytes: names are sorted, the header is padded to 8 bytes. */
export function writeSafetensors({ metadata, tensors }: Safetensors): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata }
  const names = [...tensors.keys()].sort()
  let offset = 0
  for (const name of names) {
    const { dtype, shape, bytes } = tensors.get(name)!
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(text.length / 8) * 8
  const file = new Uint8Array(8 + padded + offset).fill(0x20, 8, 8 + padded)
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true)
  file.set(text, 8)
  let at = 8 + padded
  for (const name of names) {
    const { bytes } = tensors.get(name)!
    file.set(bytes, at)
    at += bytes.length
  }
  return file
}

/**
 * Reads a safetensors file that is not to be trusted: the tensors are views of `file`.
 *
 * @throws StudioError corrupt-file, in one sentence, for anything but a file whose tensors fill it exactly, without overlap or hole.
 */
export function readSafetensors(file: Uint8Array, name = 'the file'): Safetensors {
  const refuse = (what: string): never => {
    throw new StudioError('corrupt-file', `${name} is not a sound safetensors file: ${what}. Copy it again or choose another file.`)
  }
  if (file.length < 8) refuse(`it has ${file.length} bytes, fewer than the 8 of its length field`)
  const size = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  if (size > headerLimit || 8 + size > file.length) refuse(`its header claims ${size} bytes, the file has ${file.length}`)

  const header = parseHeader(file.subarray(8, 8 + size), refuse)
  const data = file.subarray(8 + size)
  const metadata: Record<string, string> = {}
  const tensors = new Map<string, StoredTensor>()
  const ranges: { start: number; end: number }[] = []
  for (const [key, entry] of header) {
    if (key === '__metadata__') {
      for (const [field, text] of Object.entries(asRecord(entry) ?? refuse('its metadata is not a record'))) {
        if (typeof text !== 'string') refuse(`metadata "${field}" is not text`)
        else metadata[field] = text
      }
      continue
    }
    const { tensor, start, end } = readEntry(key, entry, data, refuse)
    tensors.set(key, tensor)
    ranges.push({ start, end })
  }

  let filled = 0
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start !== filled) refuse(`bytes ${Math.min(start, filled)} to ${Math.max(start, filled)} of its data belong to no tensor or to two`)
    filled = end
  }
  if (filled !== data.length) refuse(`its tensors end at byte ${filled}, its data at ${data.length}`)
  return { metadata, tensors }
}

type Refuse = (what: string) => never

function parseHeader(bytes: Uint8Array, refuse: Refuse): [string, unknown][] {
  if (bytes[0] !== 0x7b) refuse('its header does not begin with "{"')
  let parsed: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    parsed = JSON.parse(text)
    if (hasRepeatedKeys(text)) refuse('its header names a tensor twice')
  } catch (error) {
    if (error instanceof StudioError) throw error
    refuse('its header is not JSON')
  }
  return Object.entries(asRecord(parsed) ?? refuse('its header is not a record'))
}

/** JSON.parse keeps the last of equal keys and says nothing, so the keys of the outermost record are counted here. */
function hasRepeatedKeys(text: string): boolean {
  const seen = new Set<string>()
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') depth--
    else if (c === '"') {
      const start = i
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++
      if (depth !== 1 || !/^\s*:/.test(text.slice(i + 1, i + 16))) continue
      const key = JSON.parse(text.slice(start, i + 1)) as string
      if (seen.has(key)) return true
      seen.add(key)
    }
  }
  return false
}

function readEntry(name: string, entry: unknown, data: Uint8Array, refuse: Refuse): { tensor: StoredTensor; start: number; end: number } {
  if (name.length > nameLimit) refuse(`a name of ${name.length} characters is longer than ${nameLimit}`)
  const { dtype, shape, data_offsets: offsets } = asRecord(entry) ?? refuse(`the entry of "${name}" is not a record`)
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype))
    return refuse(`"${name}" has the unknown type ${JSON.stringify(dtype)}`)
  if (!isSizes(shape)) return refuse(`the shape of "${name}" is not a list of sizes`)
  if (!isSizes(offsets) || offsets.length !== 2) return refuse(`the offsets of "${name}" are not two positions`)
  const [start, end] = offsets as [number, number]
  const sizeBytes = shape.reduce((product, n) => product * n, 1) * elementBytes[dtype as StoredType]
  if (!Number.isSafeInteger(sizeBytes) || end - start !== sizeBytes)
    return refuse(`"${name}" needs ${sizeBytes} bytes and is given ${end - start}`)
  if (end > data.length) return refuse(`"${name}" ends at byte ${end}, the data at ${data.length}`)
  return { tensor: { dtype: dtype as StoredType, shape, bytes: data.subarray(start, end) }, start, end }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0)
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
}
