import type { Session } from 'electron'
import { isStudioUrl } from './origin.ts'

/** All that a page may ask for. Electron grants every permission unless it is told otherwise. */
const allowed: ReadonlySet<string> = new Set(['fullscreen', 'clipboard-sanitized-write'])

/** Denies a session every permission, every device and every address outside the studio. */
export function denyByDefault(session: Session): void {
  session.setPermissionRequestHandler((_contents, permission, callback, { requestingUrl }) =>
    callback(allowed.has(permission) && isStudioUrl(requestingUrl)),
  )
  session.setPermissionCheckHandler((_contents, permission, requestingOrigin) => allowed.has(permission) && isStudioUrl(requestingOrigin))
  session.setDevicePermissionHandler(() => false)
  // The studio is local: a page, a library or a data set that names an address on the network gets no answer.
  session.webRequest.onBeforeRequest(({ url }, callback) => callback({ cancel: !isStudioUrl(url) && !isOwnScheme(url) }))
}

/** Pictures made in the page, and the developer tools. */
function isOwnScheme(url: string): boolean {
  return /^(blob|data|devtools):/.test(url)
}
