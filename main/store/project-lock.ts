import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readFile, rename, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { projectFolder } from './project-folder.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

const lockFile = z.object({
  pid: z.number().int(),
  host: z.string(),
  /** When the process started, in the kernel's ticks: process ids come again. */
  startedAt: z.string().nullable().default(null),
  token: z.string().default(''),
})
type Holder = z.infer<typeof lockFile>

/** A living holder touches its lock this often; one on another machine is given up after `silenceMs` without. */
const touchEveryMs = 20_000
const silenceMs = 120_000

const held = new Set<string>()

/**
 * Holds a project for this studio until the returned function is called.
 *
 * @throws StudioError project-locked while another living studio has it; the lock of a dead one is taken over.
 */
export async function lockProject(fs: SafeFs, root: string): Promise<() => Promise<void>> {
  const path = projectFolder(root).lock
  const mine: Holder = { pid: process.pid, host: hostname(), startedAt: startOf(process.pid), token: randomUUID() }
  const text = JSON.stringify(mine)
  held.add(mine.token) // before the file is there: whoever reads it next must find its holder alive
  try {
    await takeLock(fs, root, mine, text)
  } catch (error) {
    held.delete(mine.token)
    throw error
  }
  const touching = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => undefined) // a drive that is away for a moment
  }, touchEveryMs).unref()
  return async () => {
    clearInterval(touching)
    held.delete(mine.token)
    if ((await readFile(path, 'utf8').catch(ifGone)) === text) await fs.remove(path)
  }
}

async function takeLock(fs: SafeFs, root: string, mine: Holder, text: string): Promise<void> {
  const path = projectFolder(root).lock
  while (!(await fs.createFile(path, text))) {
    const there = await readFile(path, 'utf8').catch(ifGone)
    if (there === null) continue // given back this very moment
    const holder = lockFile.safeParse(parse(there)).data
    if (holder && (await isAlive(holder, path))) {
      throw new StudioError(
        'project-locked',
        `The project "${root}" is open in another studio (process ${holder.pid}${holder.host === mine.host ? '' : ` on ${holder.host}`}). Close it there first.`,
      )
    }
    // Moving it away decides between two that take over at once: only one of them finds it there.
    const aside = `${path}.${mine.token}`
    await rename(path, aside).catch(ifGone)
    // One that came in between was not looked at: it goes back.
    if (![null, there].includes(await readFile(aside, 'utf8').catch(ifGone))) await link(aside, path)
    await fs.remove(aside)
  }
}

async function isAlive(holder: Holder, path: string): Promise<boolean> {
  if (holder.host !== hostname()) return Date.now() - (await stat(path)).mtimeMs < silenceMs
  if (holder.pid === process.pid) return held.has(holder.token)
  if (holder.startedAt !== null && holder.startedAt !== startOf(holder.pid)) return false
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

/** Linux tells when a process started; null elsewhere and for one that is gone. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // not a lock of ours: it holds nothing
  }
}

function ifGone(error: unknown): null {
  if (isCode(error, 'ENOENT')) return null
  throw error
}
