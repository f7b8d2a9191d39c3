import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '..', '..')

export interface HeadlessStudio {
  /** The address with this start's token. */
  url: string
  stop(): Promise<void>
}

/** Starts the real headless host with a home and a projects folder of its own, and with further options. @throws Error with what it printed when it does not start */
export function startHeadlessStudio(options: readonly string[] = []): Promise<HeadlessStudio> {
  const home = mkdtempSync(join(tmpdir(), 'zigma-e2e-'))
  const child = spawn(process.execPath, ['main/headless/index.ts', '--no-open', '--projects', join(home, 'projects'), ...options], {
    cwd: root,
    env: { ...process.env, ZIGMA_HOME: join(home, 'settings') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const complaints: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(home, { recursive: true, force: true })
  }
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const url = /http:\S+/.exec(line)?.[0]
      if (url) resolve({ url, stop })
    })
    void ended.then(() => reject(new Error(`The headless host ended before it was ready: ${complaints.join('')}`)))
  })
}
