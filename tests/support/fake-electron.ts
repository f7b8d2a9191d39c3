import { EventEmitter } from 'node:events'

/** What the studio uses of the `electron` module, recording instead of doing. Electron itself cannot run in a test. */

export class FakePort extends EventEmitter {
  readonly sent: unknown[] = []
  closed = false
  started = false

  postMessage(message: unknown): void {
    this.sent.push(message)
  }
  start(): void {
    this.started = true
  }
  close(): void {
    if (this.closed) return
    this.closed = true
    this.emit('close')
  }
  /** A message from the page. */
  hear(data: unknown): void {
    this.emit('message', { data })
  }
}

type WindowOpenHandler = (details: { url: string }) => { action: string }

export class FakeWebContents extends EventEmitter {
  windowOpenHandler: WindowOpenHandler | null = null
  reloads = 0

  setWindowOpenHandler(handler: WindowOpenHandler): void {
    this.windowOpenHandler = handler
  }
  reload(): void {
    this.reloads++
  }
}

export class BrowserWindow extends EventEmitter {
  static readonly opened: BrowserWindow[] = []
  static getAllWindows(): BrowserWindow[] {
    return BrowserWindow.opened
  }
  static getFocusedWindow(): BrowserWindow | null {
    return null
  }
  readonly webContents = new FakeWebContents()
  focused = 0
  readonly options: Record<string, unknown> & { webPreferences: Record<string, unknown> }
  readonly loaded: string[] = []
  shown = false

  constructor(options: BrowserWindow['options']) {
    super()
    this.options = options
    BrowserWindow.opened.push(this)
  }
  loadURL(url: string): Promise<void> {
    this.loaded.push(url)
    return Promise.resolve()
  }
  show(): void {
    this.shown = true
  }
  getNormalBounds() {
    return { x: 10, y: 20, width: 1300, height: 900 }
  }
  isMaximized(): boolean {
    return false
  }
  isMinimized(): boolean {
    return false
  }
  focus(): void {
    this.focused++
  }
}

export const ipcMain = new EventEmitter()

export const shell = {
  opened: [] as string[],
  openExternal(url: string): Promise<void> {
    shell.opened.push(url)
    return Promise.resolve()
  },
}

export const screen = {
  displays: [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
  getAllDisplays: () => screen.displays,
}

export const protocol = {
  declared: [] as unknown[],
  registerSchemesAsPrivileged(schemes: unknown[]): void {
    protocol.declared.push(...schemes)
  },
}

export const Menu = {
  shown: null as unknown,
  buildFromTemplate: <T>(template: T): T => template,
  setApplicationMenu(menu: unknown): void {
    Menu.shown = menu
  },
}

export class FakeUtilityProcess extends EventEmitter {
  readonly stderr = new EventEmitter()
  readonly posted: unknown[] = []
  killed = false

  postMessage(message: unknown): void {
    this.posted.push(message)
  }
  kill(): boolean {
    this.killed = true
    return true
  }
}

export const utilityProcess = {
  started: [] as { entry: string; options: Record<string, unknown>; child: FakeUtilityProcess }[],
  fork(entry: string, _args: string[], options: Record<string, unknown>): FakeUtilityProcess {
    const child = new FakeUtilityProcess()
    utilityProcess.started.push({ entry, options, child })
    return child
  },
}

class FakeApp extends EventEmitter {
  readonly calls: string[] = []
  isPackaged = false
  isOnly = true

  enableSandbox(): void {
    this.calls.push('enableSandbox')
  }
  requestSingleInstanceLock(): boolean {
    return this.isOnly
  }
  whenReady(): Promise<void> {
    this.calls.push('whenReady')
    return Promise.resolve()
  }
  getLocale(): string {
    return 'zh-CN'
  }
  quit(): void {
    this.calls.push('quit')
  }
  exit(code: number): void {
    this.calls.push(`exit ${code}`)
  }
}
export const app = new FakeApp()

type Handler = (request: Request) => Promise<Response>

export const session = {
  defaultSession: {
    handlers: new Map<string, Handler>(),
    denied: [] as string[],
    protocol: { handle: (scheme: string, handler: Handler) => void session.defaultSession.handlers.set(scheme, handler) },
    setPermissionRequestHandler: () => session.defaultSession.denied.push('request'),
    setPermissionCheckHandler: () => session.defaultSession.denied.push('check'),
    setDevicePermissionHandler: () => session.defaultSession.denied.push('device'),
    webRequest: { onBeforeRequest: () => session.defaultSession.denied.push('network') },
  },
}

export const dialog = {
  errors: [] as string[],
  chosen: null as string | null,
  showErrorBox: (_title: string, text: string) => void dialog.errors.push(text),
  /** What each dialog was opened for. */
  asked: [] as string[][],
  showOpenDialog: (...given: unknown[]) => {
    dialog.asked.push((given.at(-1) as { properties: string[] }).properties)
    return Promise.resolve({ canceled: dialog.chosen === null, filePaths: dialog.chosen === null ? [] : [dialog.chosen] })
  },
}
