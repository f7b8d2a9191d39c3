import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { compose, type Studio } from '#main/compose.ts'
import { fakeEngine } from '../support/fake-engine.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const home = temporaryFolder()
const call = { signal: new AbortController().signal }
let studio: Studio

afterEach(() => studio.close())

test('the free space of a projects folder that is not made yet is that of the disk it will be made on', async () => {
  const projectsFolder = join(home, 'not', 'made', 'yet')
  studio = await compose({ host: 'cli', settingsFolder: join(home, 'settings'), projectsFolder, launchEngine: fakeEngine().launch })
  const { bavail, bsize } = statfsSync(home)
  const report = await studio.services['system.describe'](null, call)
  // Other programs write meanwhile.
  expect(Math.abs(report.freeBytes! - bavail * bsize)).toBeLessThan(2 ** 30)
})

test('the report comes although the engine never answers', async () => {
  const mute = fakeEngine({ 'engine.describe': () => new Promise(() => undefined) })
  studio = await compose({ host: 'cli', settingsFolder: join(home, 'settings'), projectsFolder: home, launchEngine: mute.launch })
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const report = studio.services['system.describe'](null, call)
  await vi.advanceTimersByTimeAsync(20_000)
  vi.useRealTimers()
  expect((await report).engine).toMatchObject({
    state: 'unavailable',
    problem: expect.stringMatching(/^The engine was started but has not answered for 20 seconds\. .* start it again\.$/) as string,
  })
})
