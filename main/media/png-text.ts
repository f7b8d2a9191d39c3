import { crc32, inflateSync } from 'node:zlib'

const signatureBytes = 8
const textLimit = 1 << 20

/** A PNG with text added behind its header: Latin-1 text as tEXt, any other as iTXt, so that other programs read what they can. */
export function addPngText(png: Uint8Array, entries: Readonly<Record<string, string>>): Uint8Array {
  const headerEnd = signatureBytes + 12 + new DataView(png.buffer, png.byteOffset).getUint32(signatureBytes)
  const chunks = Object.entries(entries).map(([keyword, text]) => {
    const latin = /^[\x20-\x7e\n\xa0-\xff]*$/.test(text)
    return latin
      ? pngChunk('tEXt', Buffer.from(`${keyword}\0${text}`, 'latin1'))
      : pngChunk('iTXt', Buffer.from(`${keyword}\0\0\0\0\0${text}`, 'utf8'))
  })
  return new Uint8Array(Buffer.concat([png.subarray(0, headerEnd), ...chunks, png.subarray(headerEnd)]))
}

/** The text entries of a PNG; none for a file that is not one. Damaged chunks end the reading. */
export function readPngText(png: Uint8Array): Record<string, string> {
  const entries: Record<string, string> = {}
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength)
  for (let at = signatureBytes; at + 12 <= bytes.length;) {
    const length = bytes.readUInt32BE(at)
    if (at + 12 + length > bytes.length) break
    const type = bytes.toString('latin1', at + 4, at + 8)
    const data = bytes.subarray(at + 8, at + 8 + length)
    const end = data.indexOf(0)
    if (end > 0 && type === 'tEXt') entries[data.toString('latin1', 0, end)] = data.toString('latin1', end + 1)
    if (end > 0 && type === 'iTXt') entries[data.toString('latin1', 0, end)] = internationalText(data, end)
    at += 12 + length
  }
  return entries
}

/** keyword, compression flag and method, language, translated keyword, text (PNG specification, 11.3.3.4). */
function internationalText(data: Buffer, keywordEnd: number): string {
  const languageEnd = data.indexOf(0, keywordEnd + 3)
  const text = data.subarray(data.indexOf(0, languageEnd + 1) + 1)
  return data[keywordEnd + 1] === 1 ? inflateSync(text, { maxOutputLength: textLimit }).toString('utf8') : text.toString('utf8')
}

/** A chunk of a PNG: its length, its type, its data and their sum. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const out = Buffer.alloc(12 + data.length)
  out.writeUInt32BE(data.length, 0)
  out.write(type, 4, 'latin1')
  data.copy(out, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length)
  return out
}
