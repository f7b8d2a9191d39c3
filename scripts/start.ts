import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { electronBinary } from './electron-binary.ts'
import { findBrowser, findProgram } from './find-program.ts'

/** npm start: the studio in Electron, or in a browser window where Electron cannot run. Further arguments go to the studio. */
const root = join(import.meta.dirname, '..')
const args = process.argv.slice(2)

const electron = await electronBinary()
if ('path' in electron) {
  follow(spawn(electron.path, [root, ...args], { stdio: 'inherit' }))
} else {
  console.log(`Electron does not start here because ${electron.problem}, so the studio opens in a browser.`)
  const host = spawn(process.execPath, [join(root, 'main/headless/index.ts'), '--no-open', ...args], {
    stdio: ['inherit', 'pipe', 'inherit'],
  })
  follow(host)
  for await (const line of createInterface({ input: host.stdout })) {
    console.log(line)
    const url = /https?:\/\/\S+#t=\S+/.exec(line)?.[0]
    if (url) open(url)
  }
}

/** Ends when the studio ends, with its exit code, and passes on a request to end. */
function follow(studio: ChildProcess): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) studio.kill(signal)
    })
  }
  studio.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal ? 128 + constants.signals[signal] : 1)
  })
}

/** Opens a window of a Chromium-like browser, else a tab of the default one; the address is on the terminal in any case. */
function open(url: string): void {
  const hasDisplay = process.platform !== 'linux' || process.env['DISPLAY'] || process.env['WAYLAND_DISPLAY']
  if (!hasDisplay) return
  const browser = findBrowser()
  const opener = browser ? { command: browser, args: [`--app=${url}`] } : defaultOpener(url)
  if (!opener) return
  const child = spawn(opener.command, opener.args, { stdio: 'ignore', detached: true })
  child.on('error', (error) => {
    console.log(`The browser did not open (${error.message}). Open the address above yourself.`)
  })
  child.unref()
}

function defaultOpener(url: string): { command: string; args: string[] } | undefined {
  if (process.platform === 'win32') return { command: 'explorer.exe', args: [url] }
  const command = findProgram('xdg-open', 'open')
  return command ? { command, args: [url] } : undefined
}
