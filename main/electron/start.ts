import { app, BrowserWindow, dialog, Menu, session } from 'electron'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compose, type Studio } from '../compose.ts'
import { settingsFolder } from '../store/registry.ts'
import { declareScheme, serveAssets } from './asset-protocol.ts'
import { utilityLauncher } from './engine-launcher.ts'
import { buildMenu, menuLanguage } from './menu.ts'
import { guardNavigation } from './navigation.ts'
import { denyByDefault } from './permissions.ts'
import { registerRpc } from './rpc.ts'
import { readWindowState, writeWindowState } from './window-state.ts'
import { openWindow } from './window.ts'

/** The built files: `main/index.cjs` and `main/engine.cjs`, `preload/index.cjs`, `renderer/index.html`. */
export async function startElectron(out: string): Promise<void> {
  app.enableSandbox()
  declareScheme()
  if (!app.requestSingleInstanceLock()) return app.quit()
  app.on('second-instance', () => focus(BrowserWindow.getAllWindows()[0]))
  app.on('web-contents-created', (_event, contents) => guardNavigation(contents))
  app.on('window-all-closed', () => app.quit())
  await app.whenReady()
  denyByDefault(session.defaultSession)
  try {
    await open(out)
  } catch (error) {
    dialog.showErrorBox('ZigMa Studio', error instanceof Error ? error.message : String(error))
    app.exit(1)
  }
}

async function open(out: string): Promise<void> {
  const { project, projects, allow } = options(process.argv)
  const studio = await compose({
    host: 'electron',
    launchEngine: utilityLauncher(join(out, 'main', 'engine.cjs'), app.isPackaged ? join(process.resourcesPath, 'native') : null),
    allowedRoots: allow,
    ...(projects === undefined ? {} : { projectsFolder: projects }),
    pickFolder: () => pick(['openDirectory', 'createDirectory']),
    pickFile: () => pick(['openFile']),
  })
  closeBeforeQuit(studio)
  if (project !== undefined) await studio.openFolder(project, { create: true })
  serveAssets(session.defaultSession, studio, join(out, 'renderer'))
  const rpc = registerRpc(studio)
  Menu.setApplicationMenu(buildMenu(menuLanguage(app.getLocale()), (command) => rpc.publish('menu.chosen', { command })))

  const settings = settingsFolder()
  openWindow({
    preload: join(out, 'preload', 'index.cjs'),
    state: await readWindowState(settings),
    onClosing: (state) => {
      // A place that cannot be kept is not worth keeping a window from closing.
      writeWindowState(studio.context.fs, settings, state).catch((error: unknown) => console.warn('The window place was not kept:', error))
    },
  })
}

/** The studio's own options among Chromium's and Electron's. */
function options(argv: readonly string[]): { project?: string | undefined; projects?: string | undefined; allow: string[] } {
  const { values } = parseArgs({
    args: argv.slice(1),
    options: { project: { type: 'string' }, projects: { type: 'string' }, allow: { type: 'string', multiple: true } },
    strict: false,
  })
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  return {
    project: text(values.project),
    projects: text(values.projects),
    allow: (values.allow ?? []).filter((path) => typeof path === 'string'),
  }
}

/** Folders come from the system's own dialog, so what is chosen there may be read. */
async function pick(properties: readonly ('openFile' | 'openDirectory' | 'createDirectory')[]): Promise<string | null> {
  const parent = BrowserWindow.getFocusedWindow()
  const { canceled, filePaths } = await (parent
    ? dialog.showOpenDialog(parent, { properties: [...properties] })
    : dialog.showOpenDialog({ properties: [...properties] }))
  return canceled ? null : (filePaths[0] ?? null)
}

/** Work in progress is written down before the studio ends: training leaves a checkpoint, the queue its order. */
function closeBeforeQuit(studio: Studio): void {
  let state: 'open' | 'closing' | 'closed' = 'open'
  app.on('before-quit', (event) => {
    if (state === 'closed') return
    event.preventDefault()
    if (state === 'closing') return
    state = 'closing'
    studio
      .close()
      .catch((error: unknown) => console.error('The studio did not close in good order:', error))
      .finally(() => {
        state = 'closed'
        app.quit()
      })
  })
}

function focus(window: BrowserWindow | undefined): void {
  if (!window) return
  if (window.isMinimized()) window.restore()
  window.focus()
}
