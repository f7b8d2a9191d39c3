import type { DropReason, Trim, VideoPlan } from '#contracts/video.ts'

/** Which frames of a video are in sight, `from` to just before `to`, on so many pixels. */
export interface Sight {
  from: number
  to: number
  width: number
}

/** Frames `first` to `last`, both in it. */
export interface FrameRange {
  first: number
  last: number
}

/** A stretch of the video that is one clip, or that is dropped as a whole. */
export type Piece = FrameRange & ({ kind: 'clip'; number: number; frames: number } | { kind: 'gap'; reason: DropReason })

const fewestInSight = 8

/** The left edge of a frame in pixels. */
export function xOf(frame: number, { from, to, width }: Sight): number {
  return ((frame - from) / Math.max(1, to - from)) * width
}

/** The frame under a pixel; one beside the sight is the nearest in it. */
export function frameAt(x: number, { from, to, width }: Sight): number {
  const frame = from + Math.floor((x / Math.max(1, width)) * (to - from))
  return Math.max(from, Math.min(to - 1, frame))
}

/** More or fewer frames in sight, by a factor, with one of them staying where it is. */
export function zoomed(sight: Sight, factor: number, around: number, frames: number): Sight {
  const span = Math.round(Math.max(Math.min(fewestInSight, frames), Math.min(frames, (sight.to - sight.from) * factor)))
  const share = (around - sight.from) / Math.max(1, sight.to - sight.from)
  return panned({ ...sight, from: Math.round(around - share * span), to: Math.round(around - share * span) + span }, 0, frames)
}

/** The same number of frames, so many further on, within the video. */
export function panned(sight: Sight, by: number, frames: number): Sight {
  const span = sight.to - sight.from
  const from = Math.max(0, Math.min(frames - span, Math.round(sight.from + by)))
  return { ...sight, from, to: from + span }
}

/** The first frame at a time or behind it; as many as there are where none is. */
export function frameAtTime(times: ArrayLike<number>, seconds: number): number {
  let [low, high] = [0, times.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle]! < seconds) low = middle + 1
    else high = middle
  }
  return low
}

/** The frames that a trim leaves. */
export function rangeOf(times: ArrayLike<number>, trim: Trim | null): FrameRange {
  if (!trim) return { first: 0, last: times.length - 1 }
  const first = Math.min(times.length - 1, frameAtTime(times, trim.startSeconds))
  const end = trim.endSeconds === null ? times.length : frameAtTime(times, trim.endSeconds)
  return { first, last: Math.max(first, end - 1) }
}

/** The trim that leaves these frames, null where that is all. Its ends lie amid two frames, so that a rounded time is still on its side. */
export function trimOf(times: ArrayLike<number>, { first, last }: FrameRange): Trim | null {
  if (first <= 0 && last >= times.length - 1) return null
  const before = (frame: number) => (times[frame - 1]! + times[frame]!) / 2
  return { startSeconds: first <= 0 ? 0 : before(first), endSeconds: last >= times.length - 1 ? null : before(last + 1) }
}

/** The scenes that cuts make of what a trim leaves. */
export function scenesOf(cuts: readonly number[], { first, last }: FrameRange): FrameRange[] {
  const starts = [first, ...cuts.filter((frame) => frame > first && frame <= last)]
  return starts.map((start, i) => ({ first: start, last: (starts[i + 1] ?? last + 1) - 1 }))
}

/** The cut nearest to a frame, where it is near enough on the screen; else the frame. */
export function snappedToCut(frame: number, cuts: readonly number[], sight: Sight, pixels: number): number {
  const apart = (cut: number) => Math.abs(xOf(cut, sight) - xOf(frame, sight))
  const nearest = cuts.reduce<number | null>((best, cut) => (best === null || apart(cut) < apart(best) ? cut : best), null)
  return nearest !== null && apart(nearest) <= pixels ? nearest : frame
}

/** The nearest cut before (-1) or behind (1) a frame; the video's ends count as cuts. */
export function nextCut(frame: number, direction: -1 | 1, cuts: readonly number[], frames: number): number {
  if (direction > 0) return cuts.find((cut) => cut > frame) ?? Math.max(0, frames - 1)
  return cuts.findLast((cut) => cut < frame) ?? 0
}

/** Clips and dropped stretches in the order of the video. Single frames that the stride leaves out are in the clip around them. */
export function piecesOf({ clips, gaps }: Pick<VideoPlan, 'clips' | 'gaps'>): Piece[] {
  const pieces: Piece[] = [
    ...clips.map(({ firstFrame, lastFrame, frames }, i) => ({ kind: 'clip' as const, number: i + 1, first: firstFrame, last: lastFrame, frames })), // prettier-ignore
    ...gaps.map(({ firstFrame, lastFrame, reason }) => ({ kind: 'gap' as const, reason, first: firstFrame, last: lastFrame })),
  ]
  return pieces.sort((a, b) => a.first - b.first)
}

/** The place in the list of the piece that a frame lies in; behind a clip's last frame it is still that clip's. -1 before all of them. */
export function pieceAt(pieces: readonly Piece[], frame: number): number {
  let [low, high] = [0, pieces.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (pieces[middle]!.first <= frame) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** What became of all frames: those used first, then each reason that drops any. The numbers add up to all. */
export function totalsOf({ used, dropped }: Pick<VideoPlan, 'used' | 'dropped'>): { fate: 'used' | DropReason; frames: number }[] {
  const reasons = Object.entries(dropped) as [DropReason, number][]
  return [{ fate: 'used', frames: used }, ...reasons.filter(([, frames]) => frames > 0).map(([fate, frames]) => ({ fate, frames }))]
}

/** Scores are drawn by their root, so that soft changes can be seen beside hard cuts. 0 below, 1 above. */
export function heightOfScore(score: number): number {
  return Math.sqrt(Math.max(0, Math.min(1, score)))
}

/** The threshold at a height, in hundredths from 0.01 to 1. */
export function scoreAtHeight(height: number): number {
  return Math.max(0.01, Math.min(1, Math.round(Math.max(0, height) ** 2 * 100) / 100))
}
