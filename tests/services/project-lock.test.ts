import { spawn } from 'node:child_process'
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lockProject } from '#main/store/project-lock.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const fs = new SafeFs()
const locked = { code: 'project-locked', message: expect.stringContaining('Close it there first.') as string }

test('of many that want a project at the same time, one has it; when that one gives it back, another can', async () => {
  const root = temporaryFolder()
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockProject(fs, root)))
  const holders = tries.filter((one) => one.status === 'fulfilled')
  expect(holders).toHaveLength(1)
  await expect(lockProject(fs, root)).rejects.toMatchObject(locked)
  await holders[0]!.value()
  expect(existsSync(join(root, '.lock'))).toBe(false)
  await (
    await lockProject(fs, root)
  )()
})

test('who has just made the lock holds it, before anything else is done', async () => {
  const root = temporaryFolder()
  let later: PromiseSettledResult<unknown> | undefined
  class Slow extends SafeFs {
    override async createFile(path: string, text: string): Promise<boolean> {
      const made = await super.createFile(path, text)
      if (made) [later] = await Promise.allSettled([lockProject(fs, root)])
      return made
    }
  }
  const unlock = await lockProject(new Slow(), root)
  expect(later).toMatchObject({ status: 'rejected', reason: locked })
  await unlock()
})

test.each([
  ['a process that lives', (pid: number) => ({ pid, host: hostname() }), true],
  ['a process that is gone', () => ({ pid: 2 ** 22 + 1, host: hostname() }), false],
  ['a process whose number another one has by now', (pid: number) => ({ pid, host: hostname(), startedAt: '1' }), false],
  ['an earlier process with our own number', () => ({ pid: process.pid, host: hostname(), token: 'of another life' }), false],
  ['another machine', () => ({ pid: 1, host: 'elsewhere' }), true],
])('the lock of %s', async (_what, holder, holds) => {
  const root = temporaryFolder()
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  try {
    writeFileSync(join(root, '.lock'), JSON.stringify(holder(other.pid!)))
    const trying = lockProject(fs, root)
    if (holds) await expect(trying).rejects.toMatchObject(locked)
    else await (await trying)()
  } finally {
    other.kill('SIGKILL')
  }
})

test('the lock of another machine that has not been heard of for minutes is taken over', async () => {
  const root = temporaryFolder()
  const path = join(root, '.lock')
  writeFileSync(path, JSON.stringify({ pid: 1, host: 'elsewhere' }))
  const minutesAgo = new Date(Date.now() - 300_000)
  utimesSync(path, minutesAgo, minutesAgo)
  await (
    await lockProject(fs, root)
  )()
})

test('a lock file cut short holds nothing, and who lost a project does not unlock it for the new holder', async () => {
  const root = temporaryFolder()
  const path = join(root, '.lock')
  writeFileSync(path, '{"pid":')
  const unlock = await lockProject(fs, root)
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: process.pid })
  writeFileSync(path, JSON.stringify({ pid: 1, host: 'elsewhere' }))
  await unlock()
  expect(existsSync(path)).toBe(true)
})
