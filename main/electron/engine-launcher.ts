import { utilityProcess } from 'electron'
import type { EngineLauncher } from '../engine-process/client.ts'

const lastWordsBytes = 2000

/**
 * The engine in Electron's utility process: with the RunAsNode fuse off, a plain fork would be refused. `native` is the folder of the native
 * libraries in a packaged studio; in a checkout they are found by themselves.
 */
export function utilityLauncher(entry: string, native: string | null): EngineLauncher {
  return () => {
    const child = utilityProcess.fork(entry, [], {
      serviceName: 'ZigMa engine',
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...(native === null ? {} : { ZIGMA_NATIVE: native }) },
    })
    let lastWords = ''
    child.stderr?.on('data', (chunk: Buffer) => (lastWords = (lastWords + chunk.toString()).slice(-lastWordsBytes)))
    return {
      port: {
        post: (message) => child.postMessage(message),
        onMessage: (listener) => void child.on('message', listener),
        onClose: (listener) => void child.on('exit', () => listener()),
        close: () => void child.kill(),
      },
      onExit: (listener) => void child.on('exit', (code) => listener(lastWords.trim().split('\n').at(-1) || `exit code ${code}`)),
      kill: () => void child.kill(),
    }
  }
}
