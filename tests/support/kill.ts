import { fork } from 'node:child_process'
import { join } from 'node:path'

/**
 * Starts a module in a process of its own, kills it without warning after `afterMs` and gives the messages that it had sent until then:
 * what it had acknowledged.
 */
export function runAndKill(module: string, args: readonly string[], afterMs: number): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, module), args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    const messages: unknown[] = []
    let complaint = ''
    child.stderr?.on('data', (text: Buffer) => (complaint += text.toString()))
    child.on('message', (message) => {
      if (messages.length === 0) setTimeout(() => child.kill('SIGKILL'), afterMs)
      messages.push(message)
    })
    child.on('exit', (_code, signal) =>
      signal === 'SIGKILL' ? resolve(messages) : reject(new Error(`${module} ended by itself: ${complaint}`)),
    )
  })
}
