import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { StudioError } from '#contracts/errors.ts'
import { serve } from '#contracts/rpc.ts'
import { studioMethods, type StudioEvents, type StudioMethods } from '#contracts/studio.ts'
import type { Studio } from '../compose.ts'
import { securityHeaders } from '../host/content-policy.ts'
import { resolveMedia } from '../host/media-route.ts'
import { pageFile } from '../host/page-files.ts'
import { isCode } from '../store/safe-fs.ts'
import { websocketPort } from '../transport/websocket-port.ts'
import { Gate, type Refusal } from './gate.ts'
import { Uploads } from './uploads.ts'

const rendererFolder = join(import.meta.dirname, '..', '..', 'out', 'renderer')
const bodyLimitBytes = 64 * 1024
const frameLimitBytes = 8 * 1024 * 1024

export interface HeadlessHost {
  port: number
  /** The address to open, with this start's token behind the #, which browsers never send. */
  url: string
  close(): Promise<void>
}

/** Serves the studio to browsers of this machine. @throws StudioError port-taken */
export async function startHeadless(
  studio: Studio,
  { port = 0, page = rendererFolder }: { port?: number; page?: string } = {},
): Promise<HeadlessHost> {
  const gate = new Gate()
  const uploads = new Uploads(studio)
  const server = createServer((request, response) => {
    answer({ studio, gate, uploads, page }, request, response).catch((error: unknown) => {
      const sentence = error instanceof StudioError ? error.message : 'The request failed.'
      if (!response.headersSent) send(response, error instanceof StudioError ? 400 : 500, sentence)
      else response.destroy()
    })
  })
  const sockets = new WebSocketServer({ noServer: true, maxPayload: frameLimitBytes })
  server.on('upgrade', (request, socket, head) => {
    const refusal =
      pathOf(request) !== 'rpc'
        ? ({ status: 403, sentence: 'There is nothing here.' } as const)
        : (gate.checkAddress(request) ?? gate.checkOrigin(request) ?? gate.checkSession(request))
    socket.on('error', () => socket.destroy())
    if (refusal) {
      socket.end(`HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      const answering = serve<StudioMethods, StudioEvents>(websocketPort(accepted), studioMethods, studio.services)
      const stop = studio.subscribe(({ name, news }) => answering.publish(name, news))
      accepted.on('close', stop)
    })
  })

  await listen(server, port)
  const { port: actual } = server.address() as AddressInfo
  gate.open(actual)
  return {
    port: actual,
    url: `http://127.0.0.1:${actual}/#t=${gate.token}`,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Rooms {
  studio: Studio
  gate: Gate
  uploads: Uploads
  page: string
}

async function answer({ studio, gate, uploads, page }: Rooms, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const refusal = gate.checkAddress(request)
  if (refusal) return refuse(response, refusal)
  const path = pathOf(request)

  if (request.method === 'POST') {
    const foreign = gate.checkOrigin(request)
    if (foreign) return refuse(response, foreign)
    if (path === 'session') return signIn(gate, request, response)
    const stranger = gate.checkSession(request)
    if (stranger) return refuse(response, stranger)
    const query = new URL(request.url ?? '/', 'http://host').searchParams
    if (path === 'import/files') {
      await uploads.receive(query.get('name') ?? '', request)
      return send(response, 200, '{}', 'application/json')
    }
    if (path === 'import/done') return send(response, 200, JSON.stringify({ path: await uploads.finish() }), 'application/json')
    return send(response, 404, 'There is nothing here.')
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'Only GET and POST are answered.')

  if (path.startsWith('media/')) {
    const stranger = gate.checkSession(request)
    if (stranger) return refuse(response, stranger)
    const media = await resolveMedia(studio, path, new URL(request.url ?? '/', 'http://host').searchParams)
    return media
      ? send(response, 200, media.bytes, media.type, { 'cache-control': 'private, max-age=3600' })
      : send(response, 404, 'There is no such picture.')
  }
  const file = await pageFile(page, path)
  if (file) return send(response, 200, file.bytes, file.type)
  return send(response, 404, path === '' ? 'The page is not built. Run `node scripts/setup.mjs`.' : 'There is nothing here.')
}

async function signIn(gate: Gate, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!request.headers['content-type']?.startsWith('application/json')) return send(response, 415, 'Send the token as JSON.')
  const token = tokenOf(await readBody(request))
  const result = gate.signIn(token)
  if ('sentence' in result) return refuse(response, result)
  send(response, 200, '{}', 'application/json', { 'set-cookie': result.cookie })
}

function tokenOf(body: string): string {
  try {
    const { token } = JSON.parse(body) as { token?: unknown }
    return typeof token === 'string' ? token : ''
  } catch {
    return '' // which is never the token
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bodyLimitBytes) throw new StudioError('invalid-request', `The request is larger than ${bodyLimitBytes} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function pathOf(request: IncomingMessage): string {
  try {
    return decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname).slice(1)
  } catch {
    return '\0' // never the name of anything
  }
}

function refuse(response: ServerResponse, { status, sentence }: Refusal): void {
  send(response, status, sentence)
}

function send(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  type = 'text/plain; charset=utf-8',
  headers: Record<string, string> = {},
): void {
  const bytes = Buffer.byteLength(body)
  response.writeHead(status, { ...securityHeaders, 'content-type': type, 'content-length': bytes, 'cache-control': 'no-store', ...headers })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const why = isCode(cause, 'EADDRINUSE')
        ? 'is taken by another program'
        : isCode(cause, 'EACCES')
          ? 'may not be used by you: those below 1024 are mostly kept for the system'
          : null
      reject(
        why
          ? new StudioError('port-taken', `Port ${port} ${why}. Choose another with --port, or leave it out for a free one.`, { cause })
          : cause,
      )
    })
    server.listen(port, '127.0.0.1', resolve)
  })
}
