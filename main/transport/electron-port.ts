import type { MessagePortMain } from 'electron'
import { z } from 'zod'
import type { Port } from '#contracts/rpc.ts'

/**
 * What the preload sends. It wraps everything that the page posts as `message`, so a page cannot claim that a file was dropped: only the
 * preload knows the path behind a file, and only a person can drop one.
 */
const envelope = z.union([z.strictObject({ message: z.unknown() }), z.strictObject({ dropped: z.string().min(1).max(4096) })])

/** A port over Electron's message port. It lives as long as its page: a reload or a crash closes it. */
export function electronPort(port: MessagePortMain, onDropped: (path: string) => void): Port {
  const listeners = new Set<(message: unknown) => void>()
  let open = true
  port.on('close', () => (open = false))
  port.on('message', ({ data }) => {
    const parsed = envelope.safeParse(data)
    if (!parsed.success) return port.close()
    if ('dropped' in parsed.data) onDropped(parsed.data.dropped)
    else for (const listener of listeners) listener(parsed.data.message)
  })
  return {
    post: (message) => {
      if (open) port.postMessage(message)
    },
    onMessage: (listener) => {
      listeners.add(listener)
      port.start()
    },
    onClose: (listener) => void port.on('close', listener),
    close: () => port.close(),
  }
}
