import type { ChildProcess } from 'node:child_process'
import type { Port } from '#contracts/rpc.ts'

/** A port to a forked child; messages are copied by structured clone, so bytes cross as they are. */
export function childPort(child: ChildProcess): Port {
  return {
    post: (message) => {
      if (child.connected) child.send(message as object)
    },
    onMessage: (listener) => void child.on('message', listener),
    onClose: (listener) => void child.on('exit', listener),
    close: () => void child.kill(),
  }
}

interface ParentPort {
  postMessage(message: unknown): void
  on(event: 'message', listener: (event: { data: unknown }) => void): void
}

/** The port to the process that started this one: Electron's utility process or a fork. */
export function parentPort(): Port {
  const electron = (process as { parentPort?: ParentPort }).parentPort
  if (electron) {
    return {
      post: (message) => electron.postMessage(message),
      onMessage: (listener) => electron.on('message', ({ data }) => listener(data)),
      onClose: (listener) => void process.on('disconnect', listener),
      close: () => process.exit(0),
    }
  }
  return {
    post: (message) => void process.send?.(message),
    onMessage: (listener) => void process.on('message', listener),
    onClose: (listener) => void process.on('disconnect', listener),
    close: () => process.disconnect(),
  }
}
