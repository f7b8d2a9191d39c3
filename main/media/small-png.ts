import { deflateSync } from 'node:zlib'
import { pngChunk } from './png-text.ts'

/** As many bytes as a picture of 64 x 64 has. Beyond, libvips is faster, which packs on several threads. */
export const smallPngBytes = 64 * 64 * 3
const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
const [bitDepth, rgbColors] = [8, 2]

/** RGB, row by row, as a PNG. A pipeline of libvips for each of a screen of 16 x 16 pixels took fifteen times as long as packing them. */
export function encodeSmallPng(rgb: Uint8Array, width: number, height: number): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([bitDepth, rgbColors], 8)
  const rowBytes = width * 3
  const rows = new Uint8Array(height * (rowBytes + 1)) // before each row stands its filter: 0, as it is
  for (let y = 0; y < height; y++) rows.set(rgb.subarray(y * rowBytes, (y + 1) * rowBytes), y * (rowBytes + 1) + 1)
  const chunks = [pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND', Buffer.alloc(0))]
  return new Uint8Array(Buffer.concat([signature, ...chunks]))
}
