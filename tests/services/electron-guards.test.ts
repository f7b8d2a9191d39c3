import type { Session, WebContents } from 'electron'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { guardNavigation, openExternal } from '#main/electron/navigation.ts'
import { isStudioUrl } from '#main/electron/origin.ts'
import { denyByDefault } from '#main/electron/permissions.ts'
import { openWindow } from '#main/electron/window.ts'
import { BrowserWindow, FakeWebContents, shell } from '#tests/support/fake-electron.ts'

vi.mock('electron', () => import('#tests/support/fake-electron.ts'))

const foreign = [
  'app://studio.evil/index.html',
  'app://studio@evil/index.html',
  'app://user:word@studio/index.html',
  'app://studio:80/index.html',
  'app:/studio/index.html',
  'app:studio',
  'app:///studio/index.html',
  'app://STUDIO/index.html',
  'apps://studio/index.html',
  'http://studio/index.html',
  'https://studio/',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'about:blank',
  'blob:app://studio/1234',
  'ws://127.0.0.1:1234/',
  'chrome://settings',
  'view-source:app://studio/index.html',
  ' ',
  '',
]

describe('addresses', () => {
  test.each(foreign)('"%s" is not the studio', (address) => {
    expect(isStudioUrl(address)).toBe(false)
  })

  test('its own page is the studio, with or without a query and a route', () => {
    for (const address of ['app://studio/', 'app://studio/index.html#/train', 'app://studio/media/picture/x?w=2']) {
      expect(isStudioUrl(address)).toBe(true)
    }
  })
})

describe('a page', () => {
  const guarded = () => {
    const contents = new FakeWebContents()
    guardNavigation(contents as unknown as WebContents)
    return contents
  }

  test.each(['will-navigate', 'will-redirect', 'will-frame-navigate'])('stays in the studio on %s', (event) => {
    const contents = guarded()
    const isPrevented = (url: string) => {
      const preventDefault = vi.fn()
      contents.emit(event, { url, preventDefault })
      return preventDefault.mock.calls.length === 1
    }
    expect(foreign.filter((url) => !isPrevented(url))).toEqual([])
    expect(isPrevented('app://studio/index.html#/gallery')).toBe(false)
  })

  test('opens no second window, not even of the studio', () => {
    expect(guarded().windowOpenHandler?.({ url: 'app://studio/index.html' })).toEqual({ action: 'deny' })
  })

  test('embeds no other browser', () => {
    const preventDefault = vi.fn()
    guarded().emit('will-attach-webview', { preventDefault })
    expect(preventDefault).toHaveBeenCalledOnce()
  })
})

describe('the system browser', () => {
  test('opens the paper that the menu names', async () => {
    expect(await openExternal('https://arxiv.org/abs/2403.13802')).toBe(true)
    expect(shell.opened.splice(0)).toEqual(['https://arxiv.org/abs/2403.13802'])
  })

  test.each(['http://arxiv.org/', 'https://arxiv.org.evil.example/', 'https://a@arxiv.org/', 'https://arxiv.org:444/', 'file:///bin/sh'])(
    'does not open %s',
    async (address) => {
      expect(await openExternal(address)).toBe(false)
      expect(shell.opened).toEqual([])
    },
  )

  test('opens nothing that a caption or a file may hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.webUrl()), async (address) => {
        if (/^https:\/\/(arxiv\.org|github\.com)(\/|$)/.test(address)) return
        expect(await openExternal(address)).toBe(false)
      }),
    )
    expect(shell.opened).toEqual([])
  })
})

describe('permissions', () => {
  type Request = (contents: null, permission: string, callback: (granted: boolean) => void, details: { requestingUrl: string }) => void
  const denied = () => {
    const handlers: { request?: Request; check?: (c: null, permission: string, origin: string) => boolean; device?: () => boolean } = {}
    let onBeforeRequest: (details: { url: string }, callback: (answer: { cancel: boolean }) => void) => void = () => undefined
    denyByDefault({
      setPermissionRequestHandler: (handler: Request) => (handlers.request = handler),
      setPermissionCheckHandler: (handler: () => boolean) => (handlers.check = handler),
      setDevicePermissionHandler: (handler: () => boolean) => (handlers.device = handler),
      webRequest: { onBeforeRequest: (handler: typeof onBeforeRequest) => (onBeforeRequest = handler) },
    } as unknown as Session)
    const isCancelled = (url: string) => {
      let cancelled = false
      onBeforeRequest({ url }, ({ cancel }) => (cancelled = cancel))
      return cancelled
    }
    return { ...handlers, isCancelled }
  }
  const names = [
    'clipboard-read', 'clipboard-sanitized-write', 'display-capture', 'fullscreen', 'geolocation', 'idle-detection', 'media', 'mediaKeySystem',
    'midi', 'midiSysex', 'notifications', 'pointerLock', 'keyboardLock', 'openExternal', 'speaker-selection', 'storage-access',
    'top-level-storage-access', 'window-management', 'fileSystem', 'hid', 'serial', 'usb', 'unknown',
  ] // prettier-ignore

  test('of all names only full screen and writing text to the clipboard are granted, and only to the studio', () => {
    const { request, check, device } = denied()
    const requested = (permission: string, requestingUrl: string) => {
      let granted: boolean | null = null
      request?.(null, permission, (answer) => (granted = answer), { requestingUrl })
      return granted === true
    }
    const allowed = ['clipboard-sanitized-write', 'fullscreen']
    expect(names.filter((name) => requested(name, 'app://studio/index.html'))).toEqual(allowed)
    expect(names.filter((name) => check?.(null, name, 'app://studio'))).toEqual(allowed)
    expect(names.filter((name) => requested(name, 'https://evil.example/') || check?.(null, name, 'https://evil.example'))).toEqual([])
    expect(device?.()).toBe(false)
  })

  test('nothing is fetched from the network', () => {
    const { isCancelled } = denied()
    for (const url of ['https://example.org/', 'http://127.0.0.1:80/', 'ws://localhost/', 'ftp://example.org/', 'file:///etc/passwd'])
      expect(isCancelled(url)).toBe(true)
    for (const url of ['app://studio/index.html', 'blob:app://studio/1', 'data:image/png;base64,AA==']) expect(isCancelled(url)).toBe(false)
  })
})

describe('the window', () => {
  const opened = () => {
    const onClosing = vi.fn()
    openWindow({ preload: '/out/preload/index.cjs', state: null, onClosing })
    return { window: BrowserWindow.opened.at(-1)!, onClosing }
  }

  test('shows the studio and nothing else, sandboxed and isolated', () => {
    const { window } = opened()
    expect(window.loaded).toEqual(['app://studio/index.html'])
    expect(window.options.webPreferences).toMatchObject({
      sandbox: true,
      contextIsolation: true,
      webSecurity: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
    })
  })

  test('is never smaller than 1280 x 800', () => {
    expect(opened().window.options).toMatchObject({ minWidth: 1280, minHeight: 800 })
  })

  test('tells its place when it closes', () => {
    const { window, onClosing } = opened()
    window.emit('close')
    expect(onClosing).toHaveBeenCalledWith({ x: 10, y: 20, width: 1300, height: 900, maximized: false })
  })

  test('comes back after its page crashed, but not for ever', () => {
    const { window } = opened()
    for (let crash = 0; crash < 10; crash++) window.webContents.emit('render-process-gone', {}, { reason: 'crashed' })
    expect(window.webContents.reloads).toBe(3)
  })
})
