import { contextBridge, ipcRenderer, webUtils } from 'electron'
import type { Port } from '#contracts/rpc.ts'

/** All that the page gets from Electron: a port to the studio, and the way to the path behind a file that a person dropped. */
export interface Bridge {
  readonly port: Port
  pathOf(file: File): string
}

const { port1: near, port2: far } = new MessageChannel()
ipcRenderer.postMessage('studio:connect', null, [far])

const port: Port = {
  // Wrapped here, so that no page can send what only this file may: the path of a dropped file.
  post: (message) => near.postMessage({ message }),
  onMessage: (listener) => {
    near.addEventListener('message', ({ data }) => listener(data))
    near.start()
  },
  onClose: (listener) => near.addEventListener('close', () => listener()),
  close: () => near.close(),
}

const bridge: Bridge = {
  port: Object.freeze(port),
  pathOf: (file) => {
    const path = webUtils.getPathForFile(file)
    if (path !== '') near.postMessage({ dropped: path })
    return path
  },
}

contextBridge.exposeInMainWorld('studio', Object.freeze(bridge))
