import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a chat server was asked. */
export interface Asked {
  method: string | undefined
  path: string | undefined
  authorization: string | undefined
  body: {
    model: string
    stream: boolean
    messages: { role: string; content: { type: string; text?: string; image_url?: { url: string } }[] }[]
  }
}

/** How it answers: as chat servers do, or by hand. */
export type Manners = string | ((response: ServerResponse, asked: Asked) => void)

export interface CaptionServer {
  address: string
  asked: Asked[]
  /** The most requests that were open at once. */
  mostAtOnce: number
  manners: Manners
  close(): Promise<void>
}

/** A chat server of its own on this machine, which keeps what it was asked and can misbehave. */
export async function startCaptionServer(manners: Manners = 'a picture'): Promise<CaptionServer> {
  let open = 0
  const http = createServer((request, response) => void answer(request, response))
  const server: CaptionServer = {
    address: '',
    asked: [],
    mostAtOnce: 0,
    manners,
    close: () =>
      new Promise((resolve) => {
        http.closeAllConnections()
        http.close(() => resolve())
      }),
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    server.mostAtOnce = Math.max(server.mostAtOnce, ++open)
    response.on('close', () => open--)
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const { method, url: path, headers } = request
    const asked = {
      method,
      path,
      authorization: headers.authorization,
      body: JSON.parse(Buffer.concat(chunks).toString() || '{}') as Asked['body'],
    }
    server.asked.push(asked)
    if (typeof server.manners === 'string') sayCaption(response, server.manners)
    else server.manners(response, asked)
  }
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  server.address = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return server
}

/** An answer as chat servers give it. */
export function sayCaption(response: ServerResponse, content: string | null): void {
  response.setHeader('content-type', 'application/json')
  response.end(
    JSON.stringify({
      id: 'x',
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    }),
  )
}
