import type { ClipRules, DropReason, Trim, WholeClip } from '#contracts/video.ts'
import { VideoError } from './video-error.ts'

/** A clip as the frames of the video that it shows, in order; one may stand twice where the video has fewer frames a second. */
export type Picks = readonly number[]

export interface ClipPlan {
  clips: readonly Picks[]
  /** For each frame of the video why it is dropped; null for those used. */
  fates: readonly (DropReason | null)[]
}

/** Times in containers are rounded to milliseconds: a frame may come this much late and still be on time. */
const lateSeconds = 0.002
/** Rates this near count as the same: 29.97 is 30, and no frame is doubled or dropped to make it so. */
const sameRate = 0.002
/** A pause this long between two frames is a hole in the recording: nothing is shown on across it. */
const holeSeconds = 10
const pickLimit = 4_000_000

/**
 * Cuts a video into clips of legal lengths. No clip crosses a cut or leaves the trim, and every frame of the video is in a clip or has a reason
 * why it is not.
 *
 * @param times Seconds of each frame from the first, rising.
 * @param cuts First frames of new scenes.
 */
export function planClips(times: ArrayLike<number>, cuts: readonly number[], rules: ClipRules, trim: Trim | null): ClipPlan {
  const fates = Array.from<DropReason | null>({ length: times.length }).fill('trimmed')
  const clips: Picks[] = []
  const pace = paceOf(times, rules)
  for (const { from, to } of scenesOf(times, framesWithin(times, trim), cuts)) {
    const mark = (first: number, end: number, fate: DropReason | null) => fates.fill(fate, first, end)
    const onTime = framesOnTime(times, from, to, pace)
    const picks = onTime.filter((_, i) => i % rules.stride === 0)
    const lengths = clipLengths(picks.length, rules)
    const used = lengths.reduce((sum, length) => sum + length, 0)
    if (used === 0) {
      mark(from, to, 'short-scene')
      continue
    }
    // What lies behind the last clip is left over; what lies between the frames of clips is there too often.
    const leftOver = used < picks.length ? Math.max(picks[used]!, picks[used - 1]! + 1) : to
    mark(from, leftOver, 'retimed')
    mark(leftOver, to, 'remainder')
    for (const frame of onTime) if (frame < leftOver) fates[frame] = 'stride'
    let at = 0
    for (const length of lengths) {
      const clip = picks.slice(at, (at += length))
      for (const frame of clip) fates[frame] = null
      clips.push(clip)
    }
  }
  return { clips, fates }
}

/** All frames of a video as one clip, whatever their times are. @throws VideoError where it has another number of frames than its source says. */
export function planWhole({ length }: ArrayLike<number>, { frames }: Pick<WholeClip, 'frames'>): ClipPlan {
  if (length !== frames)
    throw new VideoError(
      'corrupt',
      `Its source says that it is a clip of ${frames} frames, and it has ${length}. Copy it again, or take "clip_frames" out of the list to have it cut by the rules.`,
    )
  return { clips: [Array.from({ length }, (_, frame) => frame)], fates: Array.from({ length }, () => null) }
}

/** The rules by which a clip that is taken as it is stays whole; they stand in the manifest. */
export function wholeRules({ frames }: Pick<WholeClip, 'frames'>): ClipRules {
  return { frames, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null }
}

/** Whether clips of this many frames may be. */
export function isLegal(length: number, { frames, shortest, lengthStep }: ClipRules): boolean {
  return length <= frames && length >= (shortest ?? frames) && (frames - length) % lengthStep === 0
}

/** As many full clips as fit, and of the rest the longest legal one. */
export function clipLengths(available: number, rules: ClipRules): number[] {
  const full = Math.floor(available / rules.frames)
  const lengths = Array.from({ length: full }, () => rules.frames)
  for (let rest = available - full * rules.frames; rest > 0; rest--) if (isLegal(rest, rules)) return [...lengths, rest]
  return lengths
}

/** The end nearest to the one wanted, in the scene that it lies in, at which a clip ends, so that nothing is left over; null where there is none. */
export function snapTrim(times: ArrayLike<number>, cuts: readonly number[], rules: ClipRules, trim: Trim): Trim | null {
  const { from: first, to: wanted } = framesWithin(times, trim)
  const scene = scenesOf(times, { from: first, to: times.length }, cuts).find(({ to }) => to >= wanted)
  if (!scene || wanted <= first) return null
  const onTime = framesOnTime(times, scene.from, scene.to, paceOf(times, rules))
  const picks = Math.ceil(onTime.length / rules.stride)
  const inside = Math.ceil(onTime.filter((frame) => frame < wanted).length / rules.stride)
  const endFrame = (count: number) => (count === picks ? scene.to : onTime[count * rules.stride]!)
  const isEnd = (count: number) => {
    if (count <= 0 || count > picks || (count % rules.frames !== 0 && !isLegal(count % rules.frames, rules))) return false
    const end = endFrame(count) // not amid a frame that is shown more than once, or among frames of one time
    return end >= times.length || (end > onTime[count * rules.stride - 1]! && times[end]! > times[end - 1]!) || count === picks
  }
  for (let off = 0; off < rules.frames; off++) {
    const count = [inside - off, inside + off].find(isEnd)
    if (count === undefined) continue
    return { startSeconds: trim.startSeconds, endSeconds: times[endFrame(count)] ?? null }
  }
  return null
}

/** How many frames each scene offers to clips, by the stride and the frame rate. */
export function sceneLengths(times: ArrayLike<number>, cuts: readonly number[], rules: ClipRules, trim: Trim | null): number[] {
  const pace = paceOf(times, rules)
  return scenesOf(times, framesWithin(times, trim), cuts).map(({ from, to }) =>
    Math.ceil(framesOnTime(times, from, to, pace).length / rules.stride),
  )
}

/** How fast frames follow each other. */
interface Pace {
  /** Frames a second that clips get; null where the frames are taken as they are. */
  rate: number | null
  /** The usual time between two frames of the video, seconds. */
  usual: number
}

const slowest = 1
const fastest = 240

function paceOf(times: ArrayLike<number>, { frameRate }: ClipRules): Pace {
  const between = Array.from({ length: Math.max(0, times.length - 1) }, (_, i) => times[i + 1]! - times[i]!)
  const usual = between.toSorted((a, b) => a - b)[between.length >> 1] ?? 0
  const isEven = between.every((interval) => Math.abs(interval - usual) <= lateSeconds)
  const own = Math.min(fastest, Math.max(slowest, isEven ? between.length / times[times.length - 1]! : 1 / usual))
  if (between.length === 0 || (isEven && (frameRate === null || Math.abs(frameRate / own - 1) < sameRate))) return { rate: null, usual }
  return { rate: frameRate ?? own, usual }
}

/** The rate that frames are evened out to; null where they are taken as they are. */
export function targetRate(times: ArrayLike<number>, rules: ClipRules): number | null {
  return paceOf(times, rules).rate
}

function framesWithin(times: ArrayLike<number>, trim: Trim | null): { from: number; to: number } {
  const firstAt = (seconds: number) => {
    let [low, high] = [0, times.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (times[middle]! < seconds) low = middle + 1
      else high = middle
    }
    return low
  }
  if (!trim) return { from: 0, to: times.length }
  return { from: firstAt(trim.startSeconds), to: trim.endSeconds === null ? times.length : firstAt(trim.endSeconds) }
}

function scenesOf(
  times: ArrayLike<number>,
  { from, to }: { from: number; to: number },
  cuts: readonly number[],
): { from: number; to: number }[] {
  const inside = new Set(cuts.filter((frame) => frame > from && frame < to))
  if (to > from) inside.add(from)
  for (let frame = from + 1; frame < to; frame++) if (times[frame]! - times[frame - 1]! > holeSeconds) inside.add(frame)
  const starts = [...inside].sort((a, b) => a - b)
  return starts.map((start, i) => ({ from: start, to: starts[i + 1] ?? to }))
}

/** Which frame is on the screen at each tick of the rate, counted from the scene's first frame. */
function framesOnTime(times: ArrayLike<number>, from: number, to: number, { rate, usual }: Pace): number[] {
  if (rate === null) return Array.from({ length: to - from }, (_, i) => from + i)
  const late = Math.min(lateSeconds, 1 / (8 * rate))
  const next = times[to] ?? Infinity
  const end = next - times[to - 1]! > holeSeconds ? times[to - 1]! + usual : next
  const picks = [from]
  let frame = from
  for (let tick = 1; ; tick++) {
    const now = times[from]! + tick / rate + late
    if (now >= end) return picks
    while (frame + 1 < to && times[frame + 1]! <= now) frame++
    picks.push(frame)
    if (picks.length > pickLimit)
      throw new VideoError(
        'too-long',
        `At ${rate} frames a second the video has more than ${pickLimit} frames. Choose a lower rate or trim it.`,
      )
  }
}
