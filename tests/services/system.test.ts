import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
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
