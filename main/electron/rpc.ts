import { ipcMain, type IpcMainEvent } from 'electron'
import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { serve, type Server } from '#contracts/rpc.ts'
import { studioMethods, type StudioEvents, type StudioMethods } from '#contracts/studio.ts'
import type { Studio } from '../compose.ts'
import { electronPort } from '../transport/electron-port.ts'
import { isStudioUrl } from './origin.ts'

const connectChannel = 'studio:connect'

/** The one door from a page into the studio: a page of our own, in the top frame of its window, hands over one end of a message channel. */
export function registerRpc(studio: Studio): { publish: Server<StudioEvents>['publish'] } {
  const pages = new Set<Server<StudioEvents>>()
  ipcMain.on(connectChannel, (event) => {
    const channel = event.ports[0]
    if (!channel) return
    if (!isTrusted(event)) return channel.close()
    const port = electronPort(channel, (path) => allowDropped(studio, path))
    const page = serve<StudioMethods, StudioEvents>(port, studioMethods, studio.services)
    const stop = studio.subscribe(({ name, news }) => page.publish(name, news))
    pages.add(page)
    port.onClose(() => {
      stop()
      pages.delete(page)
    })
  })
  return { publish: (name, news) => pages.forEach((page) => page.publish(name, news)) }
}

/** A sender whose frame is gone, is inside another or shows anything but our page is refused, a page without an address too. */
function isTrusted({ senderFrame }: IpcMainEvent): boolean {
  return senderFrame !== null && senderFrame.parent === null && isStudioUrl(senderFrame.url)
}

/** What a person drops may be read: the folder itself, or the folder of the file. At once, since the call that reads it follows. */
function allowDropped(studio: Studio, path: string): void {
  try {
    const real = realpathSync(path)
    studio.context.allowedRoots.add(statSync(real).isDirectory() ? real : dirname(real))
  } catch {
    return // gone since it was dropped: the import that follows says so
  }
}
