import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clipRules, cutsOf, type ClipRules } from '#contracts/video.ts'
import { planClips } from '#main/media/video/clip-plan.ts'
import { describePlan } from '#main/media/video/plan-words.ts'
import {
  frameAt,
  heightOfScore,
  nextCut,
  panned,
  pieceAt,
  piecesOf,
  rangeOf,
  scenesOf,
  scoreAtHeight,
  snappedToCut,
  totalsOf,
  trimOf,
  xOf,
  zoomed,
} from '#renderer/composables/timeline.ts'

const even = (frames: number, rate = 25) => Array.from({ length: frames }, (_, i) => i / rate)
const probe = { container: 'mov', codec: 'h264', pixelFormat: 'yuv420p', colorMatrix: null, width: 64, height: 48, rotation: 0, frames: 50, durationSeconds: 2, frameRate: 25, variableRate: false } as const // prettier-ignore
const planned = (times: readonly number[], cuts: readonly number[], given: Partial<ClipRules>) => {
  const rules = clipRules.parse(given)
  return describePlan(planClips(times, cuts, rules, null), { probe, times, cuts, rules, trim: null })
}

test('a frame drawn at a pixel is found at that pixel, and beside the strip is its nearest frame', () => {
  const sight = { from: 100, to: 200, width: 500 }
  expect([xOf(100, sight), xOf(150, sight), xOf(200, sight)]).toEqual([0, 250, 500])
  expect([0, 4.9, 5, 499, 900, -20].map((x) => frameAt(x, sight))).toEqual([100, 100, 101, 199, 199, 100])
})

test('zooming keeps the frame under the pointer in its place and never leaves the video', () => {
  const all = { from: 0, to: 1000, width: 500 }
  const near = zoomed(all, 0.5, 500, 1000)
  expect(near).toEqual({ from: 250, to: 750, width: 500 })
  expect(xOf(500, near)).toBe(xOf(500, all))
  expect(zoomed(near, 4, 500, 1000)).toEqual(all)
  expect(zoomed(all, 0.5, 0, 1000)).toMatchObject({ from: 0, to: 500 })
  expect(panned(near, 9999, 1000)).toMatchObject({ from: 500, to: 1000 })
  expect(zoomed(near, 0.0001, 500, 1000)).toMatchObject({ from: 496, to: 504 })
})

test('a trim that is kept as times leaves the same frames again, even where times were rounded to microseconds', () => {
  const times = even(90, 30)
  const rounded = times.map((time) => Math.round(time * 1e6) / 1e6)
  expect(trimOf(times, { first: 0, last: 89 })).toBeNull()
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 89 }), fc.integer({ min: 0, max: 89 }), (a, b) => {
      const range = { first: Math.min(a, b), last: Math.max(a, b) }
      expect(rangeOf(rounded, trimOf(times, range))).toEqual(range)
      expect(rangeOf(times, trimOf(rounded, range))).toEqual(range)
    }),
  )
})

test('two cuts make three scenes, and a cut outside the trim makes none', () => {
  expect(scenesOf([20, 50], { first: 0, last: 79 })).toEqual([
    { first: 0, last: 19 },
    { first: 20, last: 49 },
    { first: 50, last: 79 },
  ])
  expect(scenesOf([20, 50], { first: 20, last: 49 })).toEqual([{ first: 20, last: 49 }])
})

test('the higher the line, the fewer the cuts: those whose score reaches it', () => {
  const scores = [0, 0.02, 0.5, 0.01, 0.3]
  expect([0.01, 0.3, 0.31, 0.6].map((threshold) => cutsOf(scores, threshold).length)).toEqual([4, 2, 1, 0])
})

test('the line lies where its score is on the curve, in hundredths', () => {
  for (const score of [0.01, 0.04, 0.3, 0.55, 1]) expect(scoreAtHeight(heightOfScore(score))).toBe(score)
  expect([scoreAtHeight(-3), scoreAtHeight(2)]).toEqual([0.01, 1])
})

test('a dragged end sticks to a cut that is six pixels away and not to one that is seven', () => {
  const sight = { from: 0, to: 100, width: 100 }
  expect([snappedToCut(44, [50], sight, 6), snappedToCut(43, [50], sight, 6), snappedToCut(9, [], sight, 6)]).toEqual([50, 43, 9])
})

test('the next cut of a video without any is its end', () => {
  expect([nextCut(3, 1, [5, 9], 20), nextCut(5, 1, [5, 9], 20), nextCut(9, 1, [5, 9], 20)]).toEqual([5, 9, 19])
  expect([nextCut(9, -1, [5, 9], 20), nextCut(5, -1, [5, 9], 20), nextCut(4, -1, [], 20)]).toEqual([5, 0, 0])
})

test('pointing at a bar finds its clip, at what is hatched the reason, and between the frames of a stride the clip around', () => {
  const pieces = piecesOf(planned(even(50), [20], { frames: 8, stride: 2 }))
  expect(pieces.map(({ kind, first, last }) => [kind, first, last])).toEqual([
    ['clip', 0, 14],
    ['gap', 16, 19],
    ['clip', 20, 34],
    ['gap', 36, 49],
  ])
  expect([0, 1, 15, 16, 19, 20, 49].map((frame) => pieceAt(pieces, frame))).toEqual([0, 0, 0, 1, 1, 2, 3])
  expect(pieceAt([], 3)).toBe(-1)
})

test('the totals of any plan add up to all frames', () => {
  const given = fc.record({
    frames: fc.integer({ min: 1, max: 20 }),
    stride: fc.integer({ min: 1, max: 4 }),
    lengthStep: fc.integer({ min: 1, max: 4 }),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 119 }), given, (frames, cut, rules) => {
      const plan = planned(even(frames), [cut], rules)
      expect(totalsOf(plan).reduce((sum, part) => sum + part.frames, 0)).toBe(frames)
      expect(plan.frames).toBe(frames)
    }),
  )
})
