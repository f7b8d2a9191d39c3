import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { VideoProbe } from '#contracts/video.ts'
import { runFfmpeg } from './ffmpeg-process.ts'
import { VideoError } from './video-error.ts'
import { frameLimit, framePixelLimit, videoInput } from './video-input.ts'

const silenceMs = 60_000
const timeoutMs = 10 * 60_000
const smallestSide = 8
/** Containers that count in milliseconds place a frame up to one beside its time. */
const roundingSeconds = 0.0015

export interface ProbedVideo {
  probe: VideoProbe
  /** When each frame is shown, seconds from the first, rising. */
  times: Float64Array
}

/**
 * What a video is, without decoding it: its streams as ffmpeg describes them, and the time of every frame from the container. Needs ffmpeg alone.
 *
 * @throws VideoError with the reason; the signal's reason.
 */
export async function probeVideo(ffmpeg: string, path: string, signal: AbortSignal): Promise<ProbedVideo> {
  const input = await videoInput(path)
  const table = new PacketTable()
  // V: video, but no cover pictures. framecrc lists the packets with their times.
  const { exitCode, said } = await runFfmpeg({
    path: ffmpeg,
    args: ['-loglevel', 'info', ...input.args, '-map', '0:V:0', '-c', 'copy', '-f', 'framecrc', 'pipe:1'],
    signal,
    silenceMs,
    timeoutMs,
    read: async (output) => {
      for await (const line of createInterface({ input: Readable.from(output) })) table.add(line)
    },
  })
  if (/matches no streams/.test(said))
    throw new VideoError('no-video', 'The file holds no moving picture, only sound or a cover. It is left out.')
  const [, claimedWidth, claimedHeight] = /Picture size (\d+)x(\d+) (?:exceeds|is invalid)/.exec(said) ?? []
  if (claimedWidth !== undefined) checkSize(Number(claimedWidth), Number(claimedHeight))
  const stream = describedStream(said)
  if (exitCode !== 0 || !stream) {
    throw new VideoError('corrupt', `The video is damaged or incomplete (${reasonOf(said)}). Copy it again from its source.`)
  }
  checkSize(stream.width, stream.height)
  const { times, durationSeconds } = table.finish()
  const turned = stream.rotation === 90 || stream.rotation === 270
  const wide = Math.max(1, Math.round(stream.width * table.pixelAspect))
  return {
    times,
    probe: {
      container: input.container,
      codec: stream.codec,
      pixelFormat: stream.pixelFormat,
      colorMatrix: stream.colorMatrix,
      width: turned ? stream.height : wide,
      height: turned ? wide : stream.height,
      rotation: stream.rotation,
      frames: times.length,
      durationSeconds,
      frameRate: Math.round((times.length / durationSeconds) * 1000) / 1000,
      variableRate: isVariable(times),
    },
  }
}

function checkSize(width: number, height: number): void {
  const size = `The video has ${width} x ${height} pixels`
  const limit = `${(framePixelLimit / 1e6).toFixed(1)} million a frame`
  if (width * height > framePixelLimit)
    throw new VideoError('too-many-pixels', `${size}, more than the ${limit} that are read. Save a smaller copy.`)
  if (Math.min(width, height) < smallestSide)
    throw new VideoError('too-small', `${size}; the short side must have at least ${smallestSide}.`)
}

/** The lines of ffmpeg's framecrc: facts behind "#", then "stream, dts, pts, duration, size, checksum, flags" a packet. */
class PacketTable {
  pixelAspect = 1
  #timeBase = 0
  #lastDuration = 0
  readonly #shown: number[] = []
  readonly #decoded: number[] = []

  add(line: string): void {
    if (line.startsWith('#')) return this.#addFact(line)
    const [, dts, pts, duration, , , flags] = line.split(',').map((part) => part.trim())
    if (dts === undefined || pts === undefined) return
    if (flags !== undefined && (Number.parseInt(flags.replace('F=', ''), 16) & discardFlag) !== 0) return // cut off by an edit list
    if (this.#decoded.length >= frameLimit)
      throw new VideoError('too-long', `The video has more than the ${frameLimit} frames that are read. Cut it into parts.`)
    if (pts !== noTime) this.#shown.push(Number(pts) * this.#timeBase)
    this.#decoded.push(Number(dts) * this.#timeBase)
    this.#lastDuration = Number(duration) * this.#timeBase
  }

  #addFact(line: string): void {
    const [, name, up = 0, down = 0] = /^#(tb|sar) 0: (\d+)\/(\d+)$/.exec(line) ?? []
    if (name === 'tb') this.#timeBase = Number(up) / Number(down)
    const aspect = Number(up) / Number(down)
    if (name === 'sar' && aspect > 1 / 16 && aspect < 16) this.pixelAspect = aspect
  }

  finish(): { times: Float64Array; durationSeconds: number } {
    // AVI may not tell when frames are shown; then as many are shown as are decoded, at the same pace.
    const times = fromZero(this.#shown.length === this.#decoded.length ? this.#shown : this.#decoded)
    if (times.length === 0) throw new VideoError('corrupt', 'The video holds no frames. Copy it again from its source.')
    const last = times.at(-1)!
    const usual = median(intervals(times))
    const lastDuration = this.#lastDuration > 0 && this.#lastDuration < 10 * (usual || 1) ? this.#lastDuration : usual || 1 / 25
    return { times, durationSeconds: last + lastDuration }
  }
}

const discardFlag = 4
const noTime = String(-(2n ** 63n))

/** Sorted, and counted from the first. */
export function fromZero(times: readonly number[]): Float64Array {
  const sorted = Float64Array.from(times).sort()
  const first = sorted[0] ?? 0
  return sorted.map((time) => time - first)
}

function intervals(times: Float64Array): Float64Array {
  return times.subarray(1).map((time, i) => time - times[i]!)
}

function median(values: Float64Array): number {
  return values.toSorted()[values.length >> 1] ?? 0
}

/** Whether frames are not evenly spaced, beyond what a container's rounding explains. */
export function isVariable(times: Float64Array): boolean {
  const between = intervals(times)
  const usual = median(between)
  return between.some((interval) => Math.abs(interval - usual) > roundingSeconds)
}

interface DescribedStream {
  codec: string
  pixelFormat: string
  colorMatrix: string | null
  width: number
  height: number
  rotation: VideoProbe['rotation']
}

/** The mapped stream as ffmpeg describes its output: "Stream #0:0: Video: h264 (High), yuv420p(tv), 320x180 [SAR …], …". */
function describedStream(said: string): DescribedStream | null {
  const output = said.slice(Math.max(0, said.indexOf('\nOutput #0')))
  const [, codec, rest] = /^ +Stream #0:0[^\n]*?: Video: (\w+)([^\n]*)$/m.exec(output) ?? []
  if (codec === undefined || rest === undefined) return null
  const parts = rest.replace(/\([^)]*\)/g, '').split(',')
  const at = parts.findIndex((part) => /^ \d+x\d+/.test(part))
  const [, width, height] = /^ (\d+)x(\d+)/.exec(parts[at] ?? '') ?? []
  if (width === undefined || height === undefined) return null
  const counterclockwise = Number(/^ +displaymatrix: rotation of (-?[\d.]+) degrees/m.exec(output)?.[1] ?? 0)
  const rotation = (((Math.round(-counterclockwise / 90) * 90) % 360) + 360) % 360
  return {
    codec,
    pixelFormat: at > 1 ? parts[at - 1]!.trim() : 'unknown',
    colorMatrix: /[(, ](bt709|bt470bg|smpte170m|smpte240m|bt2020nc|bt2020c|fcc|ycgco|gbr)[/,)]/.exec(rest)?.[1] ?? null,
    width: Number(width),
    height: Number(height),
    rotation: rotation as VideoProbe['rotation'],
  }
}

/** The last thing that ffmpeg complained about, without the path. */
export function reasonOf(said: string): string {
  const complaints = said
    .split('\n')
    .filter((line) => /error|invalid|not found|could not|truncat|corrupt|partial|missing|end of file/i.test(line))
  const last = (complaints[0] ?? 'ffmpeg could not read it').replace(/^\[[^\]]*\] */, '').replace(/file:.*: /, '')
  return last.trim().slice(0, 120)
}
