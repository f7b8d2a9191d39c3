/** One field of a message. `value` is that of a whole number (0 for other kinds), `bytes` those of text, bytes or a message inside. */
export interface Field {
  number: number
  kind: 'varint' | 'fixed64' | 'bytes' | 'fixed32'
  value: number
  bytes: Uint8Array
  /** Where the field lies in its message, with its key. */
  start: number
  end: number
}

/** Bytes that are not a message. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

const nothing = new Uint8Array(0)
const kinds = { 0: 'varint', 1: 'fixed64', 2: 'bytes', 5: 'fixed32' } as const

/** The fields of a message, in their order; nothing is copied. @throws ProtobufError for bytes that do not end where a field does. */
export function* readFields(message: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++]
      if (byte === undefined) throw new ProtobufError('a number is cut short')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value // beyond 53 bits it is not exact; no size or kind is that large
    }
    throw new ProtobufError('a number is longer than ten bytes')
  }
  while (at < message.length) {
    const start = at
    const key = varint()
    const [number, kind] = [Math.floor(key / 8), kinds[(key % 8) as keyof typeof kinds]]
    if (kind === undefined || number === 0) throw new ProtobufError(`there is no field of the kind ${key % 8}`)
    let value = 0
    let bytes: Uint8Array = nothing
    if (kind === 'varint') value = varint()
    else {
      const size = kind === 'fixed32' ? 4 : kind === 'fixed64' ? 8 : varint()
      if (size > message.length - at) throw new ProtobufError('a field is longer than what holds it')
      if (kind === 'bytes') bytes = message.subarray(at, at + size)
      at += size
    }
    yield { number, kind, value, bytes, start, end: at }
  }
}
