import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

export interface Ffmpeg {
  path: string
  version: string
  /** Something to know about this build. */
  note: string | null
}

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const timeoutMs = 5000

/** In this order: the packaged build, the one that FFMPEG_PATH names, the system's, and last an old packaged one. Null where there is none. */
export async function findFfmpeg(): Promise<Ffmpeg | null> {
  const candidates: readonly (readonly [() => string | null, string | null])[] = [
    [() => packaged('ffmpeg-static'), null],
    [() => process.env.FFMPEG_PATH ?? null, null],
    [() => 'ffmpeg', null],
    [
      () => packaged('@ffmpeg-installer/ffmpeg'),
      'This build is from 2018 and lacks years of fixes. Install ffmpeg from your system for videos you did not make.',
    ],
  ]
  for (const [locate, note] of candidates) {
    const path = locate()
    const version = path === null ? null : await versionOf(path)
    if (path !== null && version !== null) return { path, version, note }
  }
  return null
}

/** Where an optional package keeps its program; null when the package is not installed. */
function packaged(name: string): string | null {
  try {
    const found = require(name) as string | { path: string } | null
    return typeof found === 'string' ? found : (found?.path ?? null)
  } catch {
    return null
  }
}

async function versionOf(path: string): Promise<string | null> {
  try {
    const { stdout } = await run(path, ['-hide_banner', '-version'], { timeout: timeoutMs })
    return /^ffmpeg version (\S+)/.exec(stdout)?.[1] ?? null
  } catch {
    return null // not there, or not a program: the next candidate is tried
  }
}
