import { expect, test } from 'vitest'
import { cutsOf } from '#contracts/video.ts'
import { probeVideo } from '#main/media/video/probe.ts'
import { scoreScenes } from '#main/media/video/scenes.ts'
import { ffmpeg, inFolder, makeScenes, makeVariable } from '../support/made-videos.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const at = inFolder(temporaryFolder())
const { signal } = new AbortController()

test('cuts between colors are found at their very frames, and only there', async () => {
  const path = makeScenes(at('scenes.mp4'), [
    ['red', 20],
    ['blue', 7],
    ['white', 31],
  ])
  const { scores, times } = await scoreScenes(ffmpeg, path, { signal })
  expect(scores).toHaveLength(58)
  expect(times[25]).toBeCloseTo(1)
  expect(cutsOf(scores, 0.3)).toEqual([20, 27])
})

test('the times of decoded frames are those that the container tells', async () => {
  const path = makeVariable(at('variable.mkv'), 12, 6)
  const { times } = await scoreScenes(ffmpeg, path, { signal })
  const told = await probeVideo(ffmpeg, path, signal)
  expect(times).toHaveLength(18)
  expect(times.map((time) => Math.round(time * 1000))).toEqual([...told.times].map((time) => Math.round(time * 1000)))
})

test('scoring that is cancelled ends with the reason', async () => {
  const path = makeScenes(at('long.mp4'), [['red', 500]])
  const cancelled = new AbortController()
  const scoring = scoreScenes(ffmpeg, path, { signal: cancelled.signal, onFrame: () => cancelled.abort(new Error('stopped by hand')) })
  await expect(scoring).rejects.toThrow('stopped by hand')
})
