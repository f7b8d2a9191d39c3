import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '..', 'node_modules', 'electron')
const mirror = process.env['ELECTRON_MIRROR'] ?? 'https://github.com/electron/electron/releases/'
const answerTimeoutMs = 5_000
const downloadTimeoutMs = 10 * 60_000

export type ElectronBinary = { path: string } | { problem: string }

/** Electron's binary, downloaded the first time where its server answers. */
export async function electronBinary(): Promise<ElectronBinary> {
  if (process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) {
    return { problem: 'this machine has no display' }
  }
  const ready = installed()
  if (ready) return { path: ready }
  if (!existsSync(folder)) return { problem: 'its npm package is not installed' }
  if (!(await answers(mirror))) return { problem: `its binary is not here and ${new URL(mirror).host} does not answer` }

  console.error('Downloading Electron, about 120 MB, once.')
  const { status } = spawnSync(process.execPath, [join(folder, 'install.js')], { stdio: 'inherit', timeout: downloadTimeoutMs })
  const downloaded = installed()
  return downloaded ? { path: downloaded } : { problem: `its download failed (exit code ${status ?? 'none: it took too long'})` }
}

/** Where Electron's own package says its binary is; undefined when it is not. */
function installed(): string | undefined {
  const pathFile = join(folder, 'path.txt')
  const override = process.env['ELECTRON_OVERRIDE_DIST_PATH']
  const name = existsSync(pathFile) ? readFileSync(pathFile, 'utf8') : 'electron'
  const path = join(override ?? join(folder, 'dist'), name)
  return existsSync(path) ? path : undefined
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(answerTimeoutMs) })
    return true
  } catch {
    return false
  }
}
