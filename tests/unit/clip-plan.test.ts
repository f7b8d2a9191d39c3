import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clipRules, cutsOf, type ClipRules } from '#contracts/video.ts'
import { clipLengths, isLegal, planClips, snapTrim } from '#main/media/video/clip-plan.ts'
import { remediesOf } from '#main/media/video/plan-remedies.ts'

const even = (frames: number, rate: number) => Float64Array.from({ length: frames }, (_, i) => i / rate)
const rules = (given: Partial<ClipRules>) => clipRules.parse(given)
const dropped = (plan: ReturnType<typeof planClips>) =>
  Object.fromEntries(
    Map.groupBy(
      plan.fates.filter((fate) => fate !== null),
      (fate) => fate,
    )
      .entries()
      .map(([fate, all]) => [fate, all.length]),
  )

test('50 frames in clips of 16 are three clips and a remainder of two', () => {
  const plan = planClips(even(50, 25), [], rules({ frames: 16 }), null)
  expect(plan.clips.map(({ length }) => length)).toEqual([16, 16, 16])
  expect(plan.clips.flat()).toEqual(Array.from({ length: 48 }, (_, i) => i))
  expect(dropped(plan)).toEqual({ remainder: 2 })
})

test('with a stride of three, a clip of four shows frames 0, 3, 6, 9', () => {
  const plan = planClips(even(12, 25), [], rules({ frames: 4, stride: 3 }), null)
  expect(plan.clips).toEqual([[0, 3, 6, 9]])
  expect(dropped(plan)).toEqual({ stride: 8 })
})

test('a cut starts a new clip, and a scene too short for one is dropped whole', () => {
  const plan = planClips(even(40, 25), [10, 13], rules({ frames: 8 }), null)
  expect(plan.clips.map((clip) => [clip[0], clip.at(-1)])).toEqual([
    [0, 7],
    [13, 20],
    [21, 28],
    [29, 36],
  ])
  expect(dropped(plan)).toEqual({ remainder: 2 + 3, 'short-scene': 3 })
})

test('60 frames a second become 16 by their times: 16 frames show one second', () => {
  const { clips } = planClips(even(60, 60), [], rules({ frames: 16, frameRate: 16 }), null)
  expect(clips).toHaveLength(1)
  expect(clips[0]).toEqual(Array.from({ length: 16 }, (_, i) => Math.floor((i * 60) / 16 + 1e-9)))
})

test('10 frames a second shown at 20 stand twice each', () => {
  const { clips, fates } = planClips(even(10, 10), [], rules({ frames: 20, frameRate: 20 }), null)
  expect(clips).toEqual([[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]])
  expect(fates.every((fate) => fate === null)).toBe(true)
})

test('29.97 frames a second count as 30, so that none is doubled or lost', () => {
  const { clips } = planClips(even(3000, 30_000 / 1001), [], rules({ frames: 100, frameRate: 30 }), null)
  expect(clips.flat()).toEqual(Array.from({ length: 3000 }, (_, i) => i))
})

test('times that are rounded to milliseconds pick the same frames as exact ones', () => {
  const exact = even(300, 30)
  const picks = (times: Float64Array) => planClips(times, [], rules({ frames: 10, frameRate: 15 }), null).clips.flat()
  expect(picks(exact.map((time) => Math.round(time * 1000) / 1000))).toEqual(picks(exact))
})

test('one second at 30 a second and one at 10, at 10 a second, are 20 frames evenly apart', () => {
  const times = [...even(30, 30), ...even(10, 10).map((time) => 1 + time)]
  const { clips } = planClips(times, [], rules({ frames: 20, frameRate: 10 }), null)
  expect(clips).toEqual([[0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39]])
})

test('a hole of a year in the times is not filled with frames', () => {
  const { clips, fates } = planClips([0, 0.1, 0.2, 3e7, 3e7 + 0.1], [], rules({ frames: 2, frameRate: 20 }), null)
  expect(clips).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
  ])
  expect(fates.every((fate) => fate === null)).toBe(true)
})

test('lengths of 4n+1 up to 81: of 100 frames one clip of 81 and one of 17 are made', () => {
  expect(clipLengths(100, rules({ frames: 81, shortest: 5, lengthStep: 4 }))).toEqual([81, 17])
})

test('a trim of 49 frames for clips of 16 snaps to 48, and of 63 to 64', () => {
  const snap = (endSeconds: number) => snapTrim(even(200, 25), [], rules({ frames: 16 }), { startSeconds: 0, endSeconds })
  expect(snap(49 / 25)).toEqual({ startSeconds: 0, endSeconds: 48 / 25 })
  expect(snap(63 / 25)).toEqual({ startSeconds: 0, endSeconds: 64 / 25 })
})

test('a threshold that falls never removes a cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: 0, max: 1, noNaN: true })),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (scores, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const more = new Set(cutsOf(scores, low))
        expect(cutsOf(scores, high).every((cut) => more.has(cut))).toBe(true)
      },
    ),
  )
})

const anyRules = fc
  .record({
    frames: fc.integer({ min: 1, max: 24 }),
    shortest: fc.option(fc.integer({ min: 1, max: 24 })),
    lengthStep: fc.integer({ min: 1, max: 5 }),
    stride: fc.integer({ min: 1, max: 5 }),
    frameRate: fc.option(fc.double({ min: 1, max: 120, noNaN: true })),
  })
  .map((given) => rules({ ...given, shortest: given.shortest === null ? null : Math.min(given.shortest, given.frames) }))
const anyTimes = fc
  .array(fc.oneof(fc.double({ min: 0, max: 0.5, noNaN: true }), fc.constant(0.04)), { maxLength: 150 })
  .map((steps) => steps.map((_, i) => steps.slice(0, i).reduce((sum, step) => sum + step, 0)))
const anyCuts = fc.array(fc.integer({ min: 0, max: 160 }), { maxLength: 8 })
const anyTrim = fc.option(
  fc.record({
    startSeconds: fc.double({ min: 0, max: 20, noNaN: true }),
    length: fc.option(fc.double({ min: 0.01, max: 20, noNaN: true })),
  }),
)

test('whatever the rules: all frames are used or dropped, clips are legal, cross no cut, stay in the trim and never run back', () => {
  fc.assert(
    fc.property(anyTimes, anyCuts, anyRules, anyTrim, (times, cuts, given, trimmed) => {
      const trim = trimmed && {
        startSeconds: trimmed.startSeconds,
        endSeconds: trimmed.length === null ? null : trimmed.startSeconds + trimmed.length,
      }
      const { clips, fates } = planClips(times, cuts, given, trim)
      const used = new Set(clips.flat())
      expect(fates).toHaveLength(times.length)
      fates.forEach((fate, frame) => expect(fate === null).toBe(used.has(frame)))
      let last = -1
      for (const clip of clips) {
        expect(isLegal(clip.length, given)).toBe(true)
        for (const frame of clip) {
          expect(frame).toBeGreaterThanOrEqual(last)
          last = frame
          if (trim) expect(times[frame]!).toBeGreaterThanOrEqual(trim.startSeconds)
          if (typeof trim?.endSeconds === 'number') expect(times[frame]!).toBeLessThan(trim.endSeconds)
        }
        expect(cuts.some((cut) => clip[0]! < cut && cut <= clip.at(-1)!)).toBe(false)
      }
    }),
    { numRuns: 500 },
  )
})

test('after snapping, a trim leaves no remainder', () => {
  fc.assert(
    fc.property(anyTimes, anyRules, fc.double({ min: 0.01, max: 5, noNaN: true }), (times, given, endSeconds) => {
      const snapped = snapTrim(times, [], given, { startSeconds: 0, endSeconds })
      if (!snapped) return
      const { fates, clips } = planClips(times, [], given, snapped)
      expect(clips.length).toBeGreaterThan(0)
      expect(fates.filter((fate) => fate === 'remainder' || fate === 'short-scene')).toEqual([])
    }),
  )
})

const remedies = (frames: number, cuts: readonly number[], given: Partial<ClipRules>) => {
  const times = even(frames, 25)
  return remediesOf(planClips(times, cuts, rules(given), null), times, cuts, rules(given), null)
}

test('a video too short for a clip is saved by clips as long as it, for all or beside the full ones', () => {
  expect(remedies(12, [], { frames: 16 })).toEqual([
    { rule: 'frames', value: 12, used: 12, clipCount: 1 },
    { rule: 'shortest', value: 12, used: 12, clipCount: 1 },
  ])
})

test('where the stride makes a video too short, the highest stride that gives a clip is proposed', () => {
  expect(remedies(40, [], { frames: 16, stride: 4 })).toContainEqual({ rule: 'stride', value: 2, used: 16, clipCount: 1 })
})

test('clips of 81 less multiples of 4 are only shortened by multiples of 4', () => {
  expect(remedies(60, [], { frames: 81, lengthStep: 4 })[0]).toEqual({ rule: 'frames', value: 57, used: 57, clipCount: 1 })
})

test('the rest of a scene is proposed as a clip when it has at least half the frames, and nothing is when all are used', () => {
  expect(remedies(42, [], { frames: 16 })).toEqual([{ rule: 'shortest', value: 10, used: 42, clipCount: 3 }])
  expect(remedies(35, [], { frames: 16 })).toEqual([])
  expect(remedies(48, [], { frames: 16 })).toEqual([])
})

test('every remedy keeps what it promises, whatever the video and the rules', () => {
  const scene = fc.record({ frames: fc.integer({ min: 1, max: 90 }), cut: fc.integer({ min: 1, max: 80 }) })
  const given = fc.record({
    frames: fc.integer({ min: 1, max: 30 }),
    lengthStep: fc.integer({ min: 1, max: 5 }),
    stride: fc.integer({ min: 1, max: 6 }),
  })
  fc.assert(
    fc.property(scene, given, ({ frames, cut }, wanted) => {
      const times = even(frames, 25)
      const used = (some: ClipRules) => planClips(times, [cut], some, null).fates.filter((fate) => fate === null).length
      for (const remedy of remedies(frames, [cut], wanted)) {
        const changed = clipRules.parse({ ...rules(wanted), [remedy.rule]: remedy.value })
        expect(used(changed)).toBe(remedy.used)
        expect(remedy.used).toBeGreaterThan(used(rules(wanted)))
      }
    }),
  )
})
