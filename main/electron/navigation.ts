import { shell, type WebContents } from 'electron'
import { isStudioUrl } from './origin.ts'

/** The only sites that the studio opens, in the system's browser and only from its menu. */
const externalHosts: ReadonlySet<string> = new Set(['arxiv.org', 'github.com'])

/** Keeps a page where it is: no other origin, no second window, no embedded browser. */
export function guardNavigation(contents: WebContents): void {
  const stayHome = (event: { preventDefault(): void; url: string }) => {
    if (!isStudioUrl(event.url)) event.preventDefault()
  }
  contents.on('will-navigate', stayHome)
  contents.on('will-redirect', stayHome)
  contents.on('will-frame-navigate', stayHome)
  contents.on('will-attach-webview', (event) => event.preventDefault())
  contents.setWindowOpenHandler(() => ({ action: 'deny' }))
}

/** Opens an address in the system's browser if it is on the list, and says whether it is. */
export async function openExternal(address: string): Promise<boolean> {
  if (!URL.canParse(address)) return false
  const { protocol, host, username, password, href } = new URL(address)
  if (protocol !== 'https:' || !externalHosts.has(host) || username !== '' || password !== '') return false
  await shell.openExternal(href)
  return true
}
