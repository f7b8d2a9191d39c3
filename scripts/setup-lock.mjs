import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Runs `work` while no other process holds the lock file at `path`. A lock whose process is gone counts for nothing. */
export async function withLock(path, say, work) {
  mkdirSync(dirname(path), { recursive: true })
  for (let told = false; !take(path); told = true) {
    if (!told) say('waiting for another set-up of this folder to end')
    await sleep(200)
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function take(path) {
  const claim = `${path}.${process.pid}`
  writeFileSync(claim, String(process.pid)) // linked into place whole, so that a lock always names its holder
  try {
    linkSync(claim, path)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (!holderLives(path)) rmSync(path, { force: true })
    return false
  } finally {
    rmSync(claim, { force: true })
  }
}

function holderLives(path) {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
