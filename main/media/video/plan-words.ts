import type { ClipRules, DropReason, Trim, VideoPlan, VideoProbe, WholeClip } from '#contracts/video.ts'
import { dropReason } from '#contracts/video.ts'
import { snapTrim, targetRate, type ClipPlan } from './clip-plan.ts'
import { remediesOf } from './plan-remedies.ts'

const words: Record<DropReason, (count: string) => string> = {
  trimmed: (count) => `${count} outside the trim`,
  retimed: (count) => `${count} too many at the clips' frame rate`,
  stride: (count) => `${count} between the frames that the stride takes`,
  remainder: (count) => `${count} left over behind the last clip of a scene`,
  'short-scene': (count) => `${count} in scenes too short for a clip`,
}
const gapLimit = 10_000
const clipLimit = 20_000
const wholeRuns: ReadonlySet<DropReason> = new Set<DropReason>(['trimmed', 'remainder', 'short-scene'])

export function dropped({ fates }: ClipPlan): Record<DropReason, number> {
  const counts = Object.fromEntries(dropReason.options.map((reason) => [reason, 0])) as Record<DropReason, number>
  for (const fate of fates) if (fate !== null) counts[fate]++
  return counts
}

/** "2 of 50 frames are dropped: 2 left over behind the last clip of a scene." Null where none is. */
export function dropSentence(plan: ClipPlan): string | null {
  const counts = Object.entries(dropped(plan)).filter(([, count]) => count > 0) as [DropReason, number][]
  const sum = counts.reduce((total, [, count]) => total + count, 0)
  if (sum === 0) return null
  return `${sum} of ${plan.fates.length} frames are dropped: ${counts.map(([reason, count]) => words[reason](String(count))).join(', ')}.`
}

/** Why a plan has no clip. */
export function noClipSentence(plan: ClipPlan, rules: ClipRules): string {
  return `No clip of ${rules.frames} frames fits. ${dropSentence(plan) ?? ''}`.trim()
}

/** A plan for people and for the window. */
export function describePlan(
  plan: ClipPlan,
  {
    probe,
    times,
    cuts,
    rules,
    trim,
  }: { probe: VideoProbe; times: ArrayLike<number>; cuts: readonly number[]; rules: ClipRules; trim: Trim | null },
): VideoPlan {
  const used = plan.fates.filter((fate) => fate === null).length
  const repeated = plan.clips.reduce((sum, clip) => sum + clip.length - new Set(clip).size, 0)
  const rate = targetRate(times, rules)
  const notes = [
    rate === null
      ? `Frames are taken as they are, ${probe.frameRate} a second.`
      : `${probe.variableRate ? 'The frame rate varies' : `The video has ${probe.frameRate} frames a second`}; clips get ${Math.round(rate * 1000) / 1000} a second, by the times of the frames. The speed of movement stays as it is.`,
    ...(repeated > 0 ? [`${repeated} times a frame is shown again, because clips have more frames a second than the video.`] : []),
    dropSentence(plan) ?? 'Every frame is used.',
    ...toldOfAll(probe),
  ]
  return {
    frames: plan.fates.length,
    used,
    repeated,
    dropped: dropped(plan),
    gaps: gapsOf(plan.fates),
    clipCount: plan.clips.length,
    clips: plan.clips.slice(0, clipLimit).map((clip) => ({
      firstFrame: clip[0]!,
      lastFrame: clip.at(-1)!,
      frames: clip.length,
      startSeconds: times[clip[0]!]!,
    })),
    snapped: snapTrim(times, cuts, rules, trim ?? { startSeconds: 0, endSeconds: null }),
    evenedTo: rate,
    remedies: remediesOf(plan, times, cuts, rules, trim),
    notes,
  }
}

/** The same for a video that is a clip as it is. */
export function describeWhole({ fates, clips: [clip = []] }: ClipPlan, probe: VideoProbe, { frameRate }: WholeClip): VideoPlan {
  const frames = fates.length
  const rate = Math.round(frameRate * 1000) / 1000
  return {
    ...{ frames, used: frames, repeated: 0, dropped: dropped({ clips: [], fates }), gaps: [] },
    ...{ clipCount: 1, clips: [{ firstFrame: 0, lastFrame: frames - 1, frames: clip.length, startSeconds: 0 }] },
    ...{ snapped: null, evenedTo: null, remedies: [] },
    notes: [`Its folder says that it is one clip of ${frames} frames, ${rate} a second: it is taken as it is.`, ...toldOfAll(probe)],
  }
}

function toldOfAll({ rotation }: VideoProbe): string[] {
  return [...(rotation === 0 ? [] : [`The video is turned upright by ${rotation} degrees.`]), 'Sound is not read.']
}

function gapsOf(fates: ClipPlan['fates']): VideoPlan['gaps'] {
  const gaps: VideoPlan['gaps'] = []
  for (let first = 0; first < fates.length && gaps.length < gapLimit;) {
    const reason = fates[first]!
    let end = first + 1
    while (end < fates.length && fates[end] === reason) end++
    if (reason && wholeRuns.has(reason)) gaps.push({ firstFrame: first, lastFrame: end - 1, reason })
    first = end
  }
  return gaps
}
