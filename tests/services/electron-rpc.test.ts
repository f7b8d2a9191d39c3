import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { utilityLauncher } from '#main/electron/engine-launcher.ts'
import { registerRpc } from '#main/electron/rpc.ts'
import { readWindowState, windowBounds, writeWindowState } from '#main/electron/window-state.ts'
import type { Studio } from '#main/compose.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { FakePort, ipcMain, utilityProcess } from '#tests/support/fake-electron.ts'

vi.mock('electron', () => import('#tests/support/fake-electron.ts'))

const page = { url: 'app://studio/index.html', parent: null }
const listProjects = { kind: 'call', id: 1, method: 'projects.list', request: null }

function studioWith() {
  const listeners = new Set<(heard: unknown) => void>()
  const studio = {
    services: { 'projects.list': () => Promise.resolve([]) },
    subscribe: (listener: (heard: unknown) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    context: { allowedRoots: new Set<string>() },
  }
  const rpc = registerRpc(studio as unknown as Studio)
  return { rpc, listeners, roots: studio.context.allowedRoots }
}

function connectFrom(senderFrame: object | null): FakePort {
  const port = new FakePort()
  ipcMain.emit('studio:connect', { senderFrame, ports: [port] })
  return port
}

beforeEach(() => void ipcMain.removeAllListeners())

describe('the door for pages', () => {
  test('opens to the top frame of the studio, and calls are answered', async () => {
    studioWith()
    const port = connectFrom(page)
    port.hear({ message: listProjects })
    await vi.waitFor(() => expect(port.sent).toEqual([{ kind: 'reply', id: 1, value: [] }]))
  })

  test.each([
    ['a frame that is gone', null],
    ['a frame inside another', { ...page, parent: {} }],
    ['a page from elsewhere', { ...page, url: 'https://evil.example/' }],
    ['a page whose name begins like ours', { ...page, url: 'app://studio.evil/' }],
    ['a page without an address', { ...page, url: '' }],
    ['an empty page', { ...page, url: 'about:blank' }],
  ])('is closed to %s', async (_who, frame) => {
    const { listeners } = studioWith()
    const port = connectFrom(frame)
    expect(port.closed).toBe(true)
    expect(listeners.size).toBe(0)
    port.hear({ message: listProjects })
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(port.sent).toEqual([])
  })

  test('closes a port that sends anything but what the preload sends', () => {
    studioWith()
    for (const message of ['text', null, listProjects, { message: 1, dropped: '/' }, { dropped: 7 }]) {
      const port = connectFrom(page)
      port.hear(message)
      expect(port.closed).toBe(true)
    }
  })

  test('gives news to every page until the page goes', () => {
    const { listeners, rpc } = studioWith()
    const port = connectFrom(page)
    listeners.forEach((listener) => listener({ name: 'projects.changed', news: null }))
    rpc.publish('menu.chosen', { command: 'palette' })
    expect(port.sent).toEqual([
      { kind: 'news', name: 'projects.changed', news: null },
      { kind: 'news', name: 'menu.chosen', news: { command: 'palette' } },
    ])
    port.close()
    expect(listeners.size).toBe(0)
    rpc.publish('menu.chosen', { command: 'palette' })
    expect(port.sent).toHaveLength(2)
  })
})

describe('a dropped file', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'zigma-drop-')))
  const file = join(folder, 'cat.png')
  writeFileSync(file, 'x')

  test('lets its folder be read, at once', () => {
    const { roots } = studioWith()
    connectFrom(page).hear({ dropped: file })
    expect([...roots]).toEqual([folder])
  })

  test('cannot be claimed by a page: what a page posts stays a message', () => {
    const { roots } = studioWith()
    connectFrom(page).hear({ message: { dropped: '/etc' } })
    expect(roots.size).toBe(0)
  })

  test('that is gone lets nothing be read', () => {
    const { roots } = studioWith()
    connectFrom(page).hear({ dropped: join(folder, 'gone.png') })
    expect(roots.size).toBe(0)
  })
})

describe('the engine in a utility process', () => {
  test('gets what is posted, and its messages come back', () => {
    const engine = utilityLauncher('/out/main/engine.cjs', '/resources/native')()
    const { entry, options, child } = utilityProcess.started.at(-1)!
    const heard: unknown[] = []
    engine.port.onMessage((message) => heard.push(message))
    engine.port.post({ question: 1 })
    child.emit('message', { answer: 2 })
    expect({ entry, posted: child.posted, heard }).toEqual({
      entry: '/out/main/engine.cjs',
      posted: [{ question: 1 }],
      heard: [{ answer: 2 }],
    })
    expect(options.env).toMatchObject({ ZIGMA_NATIVE: '/resources/native' })
  })

  test('says its last words when it dies, and its exit code when it said nothing', () => {
    const reasonOf = (...said: string[]) => {
      let reason = ''
      utilityLauncher('e', null)().onExit((words) => (reason = words))
      const { child } = utilityProcess.started.at(-1)!
      for (const words of said) child.stderr.emit('data', Buffer.from(words))
      child.emit('exit', 139)
      return reason
    }
    expect(reasonOf('first\nout of ', 'memory\n')).toBe('out of memory')
    expect(reasonOf()).toBe('exit code 139')
  })
})

describe("the window's place", () => {
  const place = { x: 100, y: 50, width: 1400, height: 900, maximized: true }
  const kept = async (state: object) => {
    const folder = mkdtempSync(join(tmpdir(), 'zigma-window-'))
    await writeWindowState(new SafeFs(), folder, state as typeof place)
    return readWindowState(folder)
  }

  test('is the same after a restart', async () => {
    expect(await kept(place)).toEqual(place)
  })

  test('is forgotten when no screen shows it any more, or when it is nonsense', async () => {
    expect(await kept({ ...place, x: 5000 })).toBeNull()
    expect(await kept({ ...place, y: -900 })).toBeNull()
    expect(await kept({ ...place, width: 3 })).toBeNull()
    expect(windowBounds(null)).toEqual({ width: 1600, height: 1000 })
  })
})
