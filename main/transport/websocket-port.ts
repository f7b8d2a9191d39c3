import type { WebSocket } from 'ws'
import type { Port } from '#contracts/rpc.ts'

/** A port over a WebSocket. Wire values are JSON: no bytes cross here, pictures have addresses. */
export function websocketPort(socket: WebSocket): Port {
  socket.on('error', () => socket.terminate()) // a frame too large, a peer gone: without a listener it would end the process
  return {
    post: (message) => {
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
    },
    onMessage: (listener) => {
      socket.on('message', (data, isBinary) => {
        const message = isBinary ? undefined : parse((data as Buffer).toString('utf8'))
        if (message === undefined) socket.close(1003, 'JSON text only')
        else listener(message)
      })
    },
    onClose: (listener) => void socket.on('close', listener),
    close: () => socket.close(),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the socket is closed with the reason
  }
}
