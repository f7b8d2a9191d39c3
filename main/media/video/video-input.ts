import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { VideoProbe } from '#contracts/video.ts'
import { VideoError } from './video-error.ts'

export type Container = VideoProbe['container']

/** No more pixels than 8K (7680 x 4320) in a frame. */
export const framePixelLimit = 7680 * 4320
/** No more frames than a day at 24 a second has. */
export const frameLimit = 24 * 3600 * 24
const allocationLimit = 1 << 30
const streamLimit = 64
const headBytes = 512
const packetBytes = 188
/** A pipe is opened without waiting for who writes into it, to be refused. Windows has none of these. */
const waitsForNobody = process.platform === 'win32' ? 0 : constants.O_NONBLOCK
const pictureBrands = /^(avi[fs]|hei[cfsx]|hev[cx]|mif1|msf1)/

/** What the first bytes say a file is; null for all that is not one of the five containers read here, scripts and playlists among them. */
export function videoContainer(head: Uint8Array): Container | null {
  const text = (from: number, to: number) => String.fromCharCode(...head.subarray(from, to))
  if (text(4, 8) === 'ftyp') return pictureBrands.test(text(8, 12)) ? null : 'mov'
  if (['moov', 'mdat', 'wide', 'free', 'skip'].includes(text(4, 8))) return 'mov'
  if (head[0] === 0x1a && head[1] === 0x45 && head[2] === 0xdf && head[3] === 0xa3) return 'matroska'
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'AVI ') return 'avi'
  if (/^GIF8[79]a/.test(text(0, 6))) return 'gif'
  const sync = (at: number, apart: number) => [0, 1].every((i) => head[at + i * apart] === 0x47)
  if (sync(0, packetBytes) || sync(4, packetBytes + 4)) return 'mpegts'
  return null
}

/**
 * The arguments that open a file, and it alone: the container is the one that its bytes show, whatever its name says, no other may be opened from
 * inside, and nothing but local files is read. Sizes are bounded.
 *
 * @throws VideoError empty-file, unreadable, unsupported-format.
 */
export async function videoInput(path: string): Promise<{ container: Container; args: readonly string[]; sizeBytes: number }> {
  const { head, sizeBytes } = await readHead(path)
  if (sizeBytes === 0) throw new VideoError('empty-file', 'The file has 0 bytes. Copy it again from its source.')
  const container = videoContainer(head)
  if (!container)
    throw new VideoError(
      'unsupported-format',
      'The file is not an MP4, MOV, Matroska, WebM, AVI, GIF or MPEG-TS video. Save it as one of these.',
    )
  const args = [
    ...['-max_alloc', String(allocationLimit)],
    ...['-f', container, '-format_whitelist', container],
    ...['-protocol_whitelist', 'file', '-max_streams', String(streamLimit), '-max_pixels', String(framePixelLimit), '-threads', '2'],
    ...['-i', `file:${resolve(path)}`], // no name is an option, a protocol or a pattern behind this
  ]
  return { container, args, sizeBytes }
}

async function readHead(path: string): Promise<{ head: Uint8Array; sizeBytes: number }> {
  try {
    const handle = await open(path, constants.O_RDONLY | waitsForNobody)
    try {
      const info = await handle.stat()
      if (!info.isFile()) throw new VideoError('unreadable', 'This is a pipe, a socket or a device, not a file.')
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0)
      return { head: buffer.subarray(0, bytesRead), sizeBytes: info.size }
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof VideoError) throw error
    throw new VideoError('unreadable', 'The file could not be read. Check its permissions.', error)
  }
}
