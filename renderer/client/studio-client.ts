import { ref } from 'vue'
import { StudioError } from '#contracts/errors.ts'
import { connect, type Client, type Port } from '#contracts/rpc.ts'
import type { StudioEvents, StudioMethods } from '#contracts/studio.ts'

type Call = Client<StudioMethods, StudioEvents>['call']
type Connection = 'connecting' | 'open' | 'lost' | 'refused'

/** How the studio can be reached right now; `refused` means that this page has no valid address. */
export const connection = ref<Connection>('connecting')

// Taken when the page is read: the router makes the address its own right after.
const token = /[#&]t=([\w-]+)/.exec(location.hash)?.[1]
const retryMs = [250, 500, 1000, 2000, 4000]
const listeners = new Map<keyof StudioEvents, Set<(news: never) => void>>()
const reopened = new Set<() => void>()
let client: Client<StudioMethods, StudioEvents> | null = null

/** Calls a service of the studio. */
export const call: Call = (name, request, options) => {
  if (!client) return Promise.reject(new StudioError('engine-lost', 'The studio cannot be reached. It is tried again by itself.'))
  return client.call(name, request, options)
}

/** Listen to news, across reconnections. */
export function onNews<K extends keyof StudioEvents>(name: K, listener: (news: StudioEvents[K]) => void): void {
  const set = listeners.get(name) ?? new Set()
  listeners.set(name, set.add(listener))
  client?.subscribe(name, listener)
}

/** Called each time a connection has opened: what was mirrored may be old. */
export function onOpen(listener: () => void): void {
  reopened.add(listener)
  if (connection.value === 'open') listener()
}

/** Connects by the preload's port where there is one, else by WebSocket, again and again while the page is open. */
export async function start(): Promise<void> {
  if (window.studio) return use(window.studio.port)
  if (token) {
    const answer = await fetch('session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token }),
    })
    if (!answer.ok) {
      connection.value = 'refused'
      return
    }
  }
  open(0)
}

function open(attempt: number): void {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/rpc`)
  let opened = false
  socket.addEventListener('open', () => {
    opened = true
    use(socketPort(socket))
  })
  socket.addEventListener('close', () => {
    client = null
    // A page without a session is turned away each time; one that has lost its studio waits for it.
    connection.value = opened || connection.value === 'lost' ? 'lost' : attempt >= 2 ? 'refused' : connection.value
    setTimeout(() => open(opened ? 0 : attempt + 1), retryMs[Math.min(attempt, retryMs.length - 1)])
  })
}

function use(port: Port): void {
  client = connect<StudioMethods, StudioEvents>(port)
  for (const [name, set] of listeners) for (const listener of set) client.subscribe(name, listener as () => void)
  connection.value = 'open'
  for (const listener of reopened) listener()
}

function socketPort(socket: WebSocket): Port {
  return {
    post: (message) => socket.send(JSON.stringify(message)),
    onMessage: (listener) => socket.addEventListener('message', ({ data }) => listener(JSON.parse(data as string))),
    onClose: (listener) => socket.addEventListener('close', listener),
    close: () => socket.close(),
  }
}
