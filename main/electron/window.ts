import { BrowserWindow } from 'electron'
import { studioPage } from './origin.ts'
import { smallest, windowBounds, type WindowState } from './window-state.ts'

const crashLimit = 3
const crashWindowMs = 60_000
const backgroundColor = '#161616' // of the dark theme, shown until the page has painted

export interface WindowOptions {
  preload: string
  state: WindowState | null
  /** Called with the window's place before it closes. */
  onClosing: (state: WindowState) => void
}

/** Opens the studio's window: sandboxed, isolated and without Node, with every switch written out so that no default decides. */
export function openWindow({ preload, state, onClosing }: WindowOptions): BrowserWindow {
  const window = new BrowserWindow({
    ...windowBounds(state),
    minWidth: smallest.width,
    minHeight: smallest.height,
    title: 'ZigMa Studio',
    backgroundColor,
    show: false,
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false, // it would fetch dictionaries from the network
    },
  })
  if (state?.maximized) window.maximize()
  window.once('ready-to-show', () => window.show())
  window.on('close', () => onClosing({ ...window.getNormalBounds(), maximized: window.isMaximized() }))

  let crashes: number[] = []
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    const now = performance.now()
    crashes = [...crashes.filter((at) => now - at < crashWindowMs), now]
    if (reason !== 'clean-exit' && crashes.length <= crashLimit) window.webContents.reload()
  })
  void window.loadURL(studioPage)
  return window
}
