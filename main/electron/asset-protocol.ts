import { protocol, type Session } from 'electron'
import type { Studio } from '../compose.ts'
import { securityHeaders } from '../host/content-policy.ts'
import { resolveMedia } from '../host/media-route.ts'
import { pageFile } from '../host/page-files.ts'
import { isStudioUrl, studioScheme } from './origin.ts'

/** Makes the studio's scheme one with an origin of its own. Must run before the app is ready. */
export function declareScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: studioScheme, privileges: { standard: true, secure: true, supportFetchAPI: true, stream: true, codeCache: true } },
  ])
}

/** Serves the built page and, below `media/`, pictures by id: the same routes and headers as the headless host. */
export function serveAssets(session: Session, studio: Studio, page: string): void {
  session.protocol.handle(studioScheme, (request) => answer(request, studio, page))
}

async function answer(request: Request, studio: Studio, page: string): Promise<Response> {
  if (!isStudioUrl(request.url)) return reply(403, 'This is not an address of the studio.')
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(405, 'Only GET is answered.')
  const { pathname, searchParams } = new URL(request.url)
  const path = decode(pathname.slice(1))
  if (path === null) return reply(404, 'There is nothing here.')
  const found = path.startsWith('media/') ? await resolveMedia(studio, path, searchParams) : await pageFile(page, path)
  return found ? reply(200, found.bytes, found.type) : reply(404, 'There is nothing here.')
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null // a broken escape names nothing
  }
}

function reply(status: number, body: string | Uint8Array, type = 'text/plain; charset=utf-8'): Response {
  return new Response(typeof body === 'string' ? body : new Uint8Array(body), {
    status,
    headers: { ...securityHeaders, 'content-type': type, 'cache-control': 'no-store' },
  })
}
