import type { VideoProbe } from '#contracts/video.ts'
import { everyFrame } from './every-frame.ts'
import { runFfmpeg } from './ffmpeg-process.ts'
import { reasonOf } from './probe.ts'
import { VideoError } from './video-error.ts'
import { framePixelLimit, videoInput } from './video-input.ts'

const silenceMs = 60_000
const timeoutMs = 24 * 3600_000
/** From here on a video whose colors are not described is taken as HD (BT.709), as players do; below as BT.601. */
const hdHeight = 720

export interface FrameStream {
  /** Edge of the square frames in pixels. */
  imageSize: number
  signal: AbortSignal
  /** Frame `index` as RGB, row by row; the bytes are used again for the next one. False ends the reading. */
  onFrame: (index: number, rgb: Uint8Array) => Promise<boolean>
}

/**
 * Decodes a video once and hands over every frame as a square training picture: upright, with square pixels, scaled so that the short side fits,
 * cropped at the center. One frame is in memory at a time, and no frame is doubled or dropped.
 *
 * @returns how many frames were handed over; of a damaged video, those that can be decoded.
 * @throws VideoError; the signal's reason; what onFrame throws.
 */
export async function streamFrames(
  ffmpeg: string,
  path: string,
  probe: VideoProbe,
  { imageSize, signal, onFrame }: FrameStream,
): Promise<number> {
  const input = await videoInput(path)
  const output = await frameOutput(ffmpeg, probe, imageSize)
  let index = 0
  const { said } = await runFfmpeg({
    path: ffmpeg,
    args: ['-loglevel', 'error', ...input.args, '-map', '0:V:0', ...output, ...queued, 'pipe:1'],
    signal,
    silenceMs,
    timeoutMs,
    read: async (output) => {
      for await (const frame of output.records(imageSize * imageSize * 3)) if (!(await onFrame(index++, frame))) return
    },
  })
  if (index === 0) throw new VideoError('corrupt', `The video cannot be decoded (${reasonOf(said)}). Copy it again from its source.`)
  return index
}

/** A thread of ffmpeg's own writes the frames, a few behind: it goes on decoding while nobody reads. */
const queued = ['-c:v', 'rawvideo', '-f', 'fifo', '-fifo_format', 'rawvideo', '-queue_size', '8']

/**
 * The arguments that make square RGB frames of a video, one behind the other.
 *
 * @throws VideoError too-many-pixels for a video so narrow that its scaled frames would not fit.
 */
export async function frameOutput(ffmpeg: string, probe: VideoProbe, imageSize: number): Promise<string[]> {
  const { width, height, left, top } = centerCrop(probe, imageSize)
  if (width * height > framePixelLimit)
    throw new VideoError(
      'too-many-pixels',
      `The video of ${probe.width} x ${probe.height} pixels is so narrow that its frames would have ${width} x ${height} at the size asked for. Crop it first.`,
    )
  const matrix =
    probe.colorMatrix === null && probe.height >= hdHeight && probe.pixelFormat.startsWith('yuv') ? ':in_color_matrix=bt709' : ''
  const scale = `scale=${width}:${height}:flags=bicubic+accurate_rnd+full_chroma_int${matrix}`
  const filter = `${scale},format=rgb24,crop=${imageSize}:${imageSize}:${left}:${top}`
  return ['-vf', filter, ...(await everyFrame(ffmpeg)), '-pix_fmt', 'rgb24']
}

/** The size to scale to and the corner to crop at: the rule of training pictures. */
export function centerCrop(
  { width, height }: { width: number; height: number },
  imageSize: number,
): { width: number; height: number; left: number; top: number } {
  const scale = imageSize / Math.min(width, height)
  const scaled = { width: Math.max(imageSize, Math.round(width * scale)), height: Math.max(imageSize, Math.round(height * scale)) }
  return { ...scaled, left: Math.floor((scaled.width - imageSize + 1) / 2), top: Math.floor((scaled.height - imageSize + 1) / 2) }
}
