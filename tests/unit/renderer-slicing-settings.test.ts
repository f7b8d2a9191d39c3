import { expect, test } from 'vitest'
import {
  defaultSlicing,
  hasOwnThreshold,
  keptSlicing,
  thresholdOf,
  trimOfVideo,
  withOwnThreshold,
  withThreshold,
  withTrim,
} from '#renderer/composables/slicing-settings.ts'

const { options } = defaultSlicing()

test('moving the line moves it for all videos', () => {
  const moved = withThreshold(options, 'a.mp4', 0.5)
  expect(['a.mp4', 'b.mp4'].map((source) => thresholdOf(moved, source))).toEqual([0.5, 0.5])
})

test('a video with a threshold of its own starts at the common one, moves alone and comes back', () => {
  const own = withOwnThreshold(options, 'a.mp4', true)
  expect(thresholdOf(own, 'a.mp4')).toBe(thresholdOf(options, 'a.mp4'))
  const moved = withThreshold(withThreshold(own, 'a.mp4', null), 'b.mp4', 0.9)
  expect(['a.mp4', 'b.mp4'].map((source) => thresholdOf(moved, source))).toEqual([null, 0.9])
  const back = withOwnThreshold(moved, 'a.mp4', false)
  expect([hasOwnThreshold(back, 'a.mp4'), thresholdOf(back, 'a.mp4')]).toEqual([false, 0.9])
})

test('a trim is of one video, and taking it away leaves the others', () => {
  const trimmed = withTrim(withTrim(options, 'a.mp4', { startSeconds: 1, endSeconds: 2 }), 'b.mp4', { startSeconds: 3, endSeconds: null })
  expect(trimOfVideo(withTrim(trimmed, 'a.mp4', null), 'a.mp4')).toBeNull()
  expect(trimOfVideo(withTrim(trimmed, 'a.mp4', null), 'b.mp4')).toEqual({ startSeconds: 3, endSeconds: null })
})

test('settings are kept as they were, and what cannot be read is as if it had never been', () => {
  const kept = { folder: '/films', options: withThreshold(options, 'a.mp4', 0.44) }
  expect(keptSlicing(JSON.stringify(kept))).toEqual(kept)
  for (const broken of [null, '', '{', '[]', '{"options":{"imageSize":7}}']) expect(keptSlicing(broken)).toEqual(defaultSlicing())
})
