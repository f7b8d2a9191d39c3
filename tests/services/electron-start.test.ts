import { existsSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connect, type Port } from '#contracts/rpc.ts'
import type { StudioEvents, StudioMethods } from '#contracts/studio.ts'
import { startElectron } from '#main/electron/start.ts'
import { redBlue } from '#tests/fixtures/pictures.ts'
import { zip } from '#tests/support/archives.ts'
import {
  app,
  BrowserWindow,
  dialog,
  FakePort,
  FakeWebContents,
  ipcMain,
  Menu,
  session,
  utilityProcess,
} from '#tests/support/fake-electron.ts'

vi.mock('electron', () => import('#tests/support/fake-electron.ts'))

const out = mkdtempSync(join(tmpdir(), 'zigma-out-'))
mkdirSync(join(out, 'renderer'))
writeFileSync(join(out, 'renderer', 'index.html'), '<!doctype html>')
const args = process.argv
let home = ''

beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'zigma-home-')))
  vi.stubEnv('ZIGMA_HOME', join(home, 'settings'))
  vi.stubEnv('ZIGMA_PROJECTS', join(home, 'projects'))
  app.calls.length = 0
  app.isOnly = true
  BrowserWindow.opened.length = 0
  dialog.errors.length = 0
  session.defaultSession.denied.length = 0
})

afterEach(async () => {
  await quit()
  process.argv = args
  app.removeAllListeners()
  ipcMain.removeAllListeners()
  vi.unstubAllEnvs()
})

const start = (...options: string[]) => {
  process.argv = ['electron', '.', '--enable-logging', ...options]
  return startElectron(out)
}

/** What Electron does on Quit: asks, and asks again when it was told to wait. Counts how often it was told to. */
async function quit(): Promise<number> {
  if (app.listenerCount('before-quit') === 0) return 0
  for (let waits = 0; ; waits++) {
    let prevented = false
    const quits = app.calls.filter((call) => call === 'quit').length
    app.emit('before-quit', { preventDefault: () => (prevented = true) })
    if (!prevented) return waits
    await vi.waitFor(() => expect(app.calls.filter((call) => call === 'quit').length).toBeGreaterThan(quits))
  }
}

/** The page's end of its port, through the preload's envelope. */
function pagePort(channel: FakePort): Port {
  return {
    post: (message) => channel.hear({ message }),
    onMessage: (listener) => {
      channel.postMessage = (message) => listener(message)
    },
    onClose: () => undefined,
    close: () => channel.close(),
  }
}

test('the studio starts: sandbox before ready, all denied, one window, menu in the language of the system', async () => {
  await start()
  expect(app.calls).toEqual(['enableSandbox', 'whenReady'])
  expect(session.defaultSession.denied.sort()).toEqual(['check', 'device', 'network', 'request'])
  expect(BrowserWindow.opened).toHaveLength(1)
  expect(BrowserWindow.opened[0]!.loaded).toEqual(['app://studio/index.html'])
  expect(BrowserWindow.opened[0]!.options.webPreferences['preload']).toBe(join(out, 'preload', 'index.cjs'))
  expect((Menu.shown as { label: string }[])[0]!.label).toBe('文件')
  expect(dialog.errors).toEqual([])
})

test('its page is served, and its services answer through the port', async () => {
  await start('--project', join(home, 'mine'))
  const page = await session.defaultSession.handlers.get('app')!({ url: 'app://studio/index.html', method: 'GET' } as Request)
  expect(page.status).toBe(200)
  const channel = new FakePort()
  const client = connect<StudioMethods, StudioEvents>(pagePort(channel))
  ipcMain.emit('studio:connect', { senderFrame: { url: 'app://studio/index.html', parent: null }, ports: [channel] })
  expect((await client.call('projects.current', null))?.name).toBe('mine')
  const described = client.call('system.describe', null)
  await vi.waitFor(() => expect(utilityProcess.started[0]?.entry).toBe(join(out, 'main', 'engine.cjs')))
  utilityProcess.started[0]!.child.emit('exit', 1)
  expect(await described).toMatchObject({ host: 'electron', canPickFolder: true, engine: { state: 'unavailable' } })

  const pictures = mkdtempSync(join(tmpdir(), 'zigma-picked-'))
  dialog.chosen = pictures
  expect(await client.call('system.pickFolder', null)).toBe(pictures)
  expect((await client.call('system.browse', { path: pictures })).path).toBe(realpathSync(pictures))

  const archive = join(mkdtempSync(join(tmpdir(), 'zigma-picked-')), 'set.zip')
  writeFileSync(archive, zip([{ name: 'a.png', bytes: await redBlue(40, 30) }]))
  const source = { kind: 'file' as const, path: archive }
  await expect(client.call('import.weigh', source)).rejects.toMatchObject({ code: 'bad-source' }) // nobody chose it yet
  dialog.chosen = archive
  expect(await client.call('system.pickFile', null)).toBe(archive)
  expect(dialog.asked.at(-1)).toEqual(['openFile'])
  expect(await client.call('import.weigh', source)).toMatchObject({ files: 1, isWhole: true })
  const options = { imageSize: 32, background: '#ffffff' }
  expect(await client.call('import.check', { source, options })).toMatchObject({ looked: 1, partial: 1, isWhole: true })
  dialog.chosen = null
  expect(await client.call('system.pickFile', null)).toBeNull()
})

test('every web contents that is ever made is guarded', async () => {
  await start()
  const contents = new FakeWebContents()
  app.emit('web-contents-created', {}, contents)
  expect(contents.windowOpenHandler?.({ url: 'app://studio/' })).toEqual({ action: 'deny' })
})

test('a second studio gives way to the first, whose window comes forward', async () => {
  await start()
  app.emit('second-instance')
  expect(BrowserWindow.opened[0]!.focused).toBe(1)
  app.isOnly = false
  await startElectron(out)
  expect(app.calls.at(-1)).toBe('quit')
  expect(BrowserWindow.opened).toHaveLength(1)
})

test('quitting waits once until the project is closed', async () => {
  await start('--project', join(home, 'mine'))
  const lock = join(home, 'mine', '.lock')
  expect(existsSync(lock)).toBe(true)
  expect(await quit()).toBe(1)
  expect(existsSync(lock)).toBe(false)
})

test('a studio that cannot start says why and ends', async () => {
  mkdirSync(join(home, 'broken'))
  writeFileSync(join(home, 'broken', 'project.json'), '{')
  await start('--project', join(home, 'broken'))
  expect(dialog.errors).toEqual([
    `"${join(home, 'broken', 'project.json')}" is not a project file of this studio. Restore it from a copy or choose another folder.`,
  ])
  expect(app.calls.at(-1)).toBe('exit 1')
})
