import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { buildMenu, menuLanguage } from '#main/electron/menu.ts'
import { menuCommand } from '#contracts/studio.ts'

vi.mock('electron', () => import('#tests/support/fake-electron.ts'))

const root = join(import.meta.dirname, '..', '..')
const sourcesIn = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|vue|html)$/.test(name))
    .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') }))
const electronRoom = [...sourcesIn('main/electron'), ...sourcesIn('main/transport'), ...sourcesIn('preload')]
const everything = ['main', 'preload', 'renderer', 'contracts', 'engine'].flatMap(sourcesIn)

/** Names of the files in which `visit` finds something. */
function filesWith(sources: typeof everything, visit: (node: ts.Node) => boolean): string[] {
  const found = (node: ts.Node): boolean => visit(node) || (ts.forEachChild(node, found) ?? false)
  return sources
    .filter(({ name }) => name.endsWith('.ts'))
    .filter(({ name, text }) => found(ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)))
    .map(({ name }) => name)
}
const isCallOf = (pattern: RegExp) => (node: ts.Node) => ts.isCallExpression(node) && pattern.test(node.expression.getText())
const setsProperty = (name: string, value: string) => (node: ts.Node) =>
  ts.isPropertyAssignment(node) && node.name.getText() === name && node.initializer.getText() === value

describe("Electron's own security list, item by item, in our sources", () => {
  test('1, 18: no page is loaded from the network or from a file', () => {
    expect(filesWith(electronRoom, isCallOf(/\.loadFile$/))).toEqual([])
    expect(filesWith(electronRoom, isCallOf(/\.loadURL$/))).toEqual(['main/electron/window.ts'])
  })

  test('2, 3, 4: every window is written to be sandboxed, isolated and without Node', () => {
    const windows = filesWith(everything, (node) => ts.isNewExpression(node) && /Window|WebContentsView/.test(node.expression.getText()))
    expect(windows).toEqual(['main/electron/window.ts'])
    for (const [name, value] of [
      ['sandbox', 'true'],
      ['contextIsolation', 'true'],
      ['nodeIntegration', 'false'],
      ['nodeIntegrationInWorker', 'false'],
      ['nodeIntegrationInSubFrames', 'false'],
    ] as const)
      expect([name, filesWith(electronRoom, setsProperty(name, value))]).toEqual([name, ['main/electron/window.ts']])
    expect(filesWith(electronRoom, isCallOf(/^app\.enableSandbox$/))).toEqual(['main/electron/start.ts'])
  })

  test('3: the preload exposes one thing once, and never ipcRenderer', () => {
    expect(filesWith(everything, isCallOf(/exposeInMainWorld$/))).toEqual(['preload/index.ts'])
    const uses = electronRoom.find(({ name }) => name === 'preload/index.ts')!.text.match(/ipcRenderer\b(?!,| )\S*?\(/g)
    expect(uses).toEqual(['ipcRenderer.postMessage('])
  })

  test('5: all three kinds of permission are handled', () => {
    for (const call of ['setPermissionRequestHandler', 'setPermissionCheckHandler', 'setDevicePermissionHandler'])
      expect(filesWith(electronRoom, isCallOf(new RegExp(`\\.${call}$`)))).toEqual(['main/electron/permissions.ts'])
    expect(filesWith(electronRoom, isCallOf(/^denyByDefault$/))).toEqual(['main/electron/start.ts'])
  })

  test('6, 8, 9, 10, 11: no switch that weakens a page is on', () => {
    const weak = [
      ['webSecurity', 'false'],
      ['sandbox', 'false'],
      ['contextIsolation', 'false'],
      ['allowRunningInsecureContent', 'true'],
      ['experimentalFeatures', 'true'],
      ['webviewTag', 'true'],
      ['nodeIntegration', 'true'],
    ] as const
    for (const [name, value] of weak) expect(filesWith(everything, setsProperty(name, value))).toEqual([])
    const named = /enableBlinkFeatures|<webview|allowpopups|no-sandbox|disable-web-security|bypassCSP/
    expect(everything.filter(({ text }) => named.test(text)).map(({ name }) => name)).toEqual([])
  })

  test('7: the policy of the pages is the one that both hosts send', () => {
    expect(everything.filter(({ text }) => text.includes("default-src '")).map(({ name }) => name)).toEqual(['main/host/content-policy.ts'])
  })

  test('12, 13, 14: every page that is made is guarded', () => {
    const start = electronRoom.find(({ name }) => name === 'main/electron/start.ts')!.text
    expect(start).toMatch(/app\.on\('web-contents-created', \(_event, contents\) => guardNavigation\(contents\)\)/)
    expect(start.indexOf('web-contents-created')).toBeLessThan(start.indexOf('whenReady'))
  })

  test('15: the system browser is opened in one place', () => {
    expect(filesWith(everything, isCallOf(/openExternal$/))).toEqual(['main/electron/menu.ts', 'main/electron/navigation.ts'])
    expect(filesWith(everything, isCallOf(/^shell\./))).toEqual(['main/electron/navigation.ts'])
  })

  test('16: Electron is of a supported major: the newest known here, or one of the two before', () => {
    const newest = 45 // in November 2026
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { devDependencies: { electron: string } }
    expect(Number(devDependencies.electron.split('.')[0])).toBeGreaterThanOrEqual(newest - 2)
  })

  test('17: pages are heard in one place', () => {
    const hears = (node: ts.Node) => isCallOf(/^ipcMain\./)(node) || isCallOf(/\.ipc\.(on|handle)$/)(node)
    expect(filesWith(everything, hears)).toEqual(['main/electron/rpc.ts'])
  })

  test('19: a package has its fuses set', () => {
    const fuses = z.strictObject({
      runAsNode: z.literal(false),
      enableCookieEncryption: z.literal(true),
      enableNodeOptionsEnvironmentVariable: z.literal(false),
      enableNodeCliInspectArguments: z.literal(false),
      enableEmbeddedAsarIntegrityValidation: z.literal(true),
      onlyLoadAppFromAsar: z.literal(true),
      loadBrowserProcessSpecificV8Snapshot: z.literal(false),
      grantFileProtocolExtraPrivileges: z.literal(false),
    })
    const config = z.object({
      asar: z.literal(true),
      electronFuses: fuses,
      asarUnpack: z.array(z.string()),
      extraResources: z.array(z.object({ from: z.string(), to: z.literal('native'), filter: z.array(z.string()) })),
    })
    expect(config.safeParse(JSON.parse(readFileSync(join(root, 'electron-builder.json'), 'utf8'))).error?.message).toBeUndefined()
  })

  test('only main/electron and its port import electron, and no service does', () => {
    const imports = (node: ts.Node) => ts.isImportDeclaration(node) && /^['"]electron['"]$/.test(node.moduleSpecifier.getText())
    const outside = filesWith(everything, imports).filter((name) => !/^(main\/electron\/|preload\/)/.test(name))
    expect(outside).toEqual(['main/transport/electron-port.ts'])
  })
})

describe('what is built', () => {
  let out = ''
  beforeAll(() => {
    out = mkdtempSync(join(root, 'build', 'audit-'))
    const build = `
      import { build } from 'vite'
      import { loadConfigFromFile, MainConfigFactory, PreloadConfigFactory } from 'electron-vite'
      const { config } = await loadConfigFromFile({ command: 'build', mode: 'production' })
      for (const [Factory, room] of [[MainConfigFactory, 'main'], [PreloadConfigFactory, 'preload']]) {
        const made = await new Factory({ ...config[room], build: { ...config[room].build, outDir: ${JSON.stringify(out)} + '/' + room } }, { logLevel: 'error' }, { root: process.cwd() }).build()
        await build({ ...made, configFile: false })
      }`
    execFileSync(process.execPath, ['--input-type=module', '-e', build], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  })

  afterAll(() => rmSync(out, { recursive: true }))

  test('the preload is one script that needs electron and nothing else', () => {
    const text = readFileSync(join(out, 'preload', 'index.cjs'), 'utf8')
    expect([...text.matchAll(/require\(["']([^"']+)["']\)/g)].map(([, name]) => name)).toEqual(['electron'])
    expect(text).not.toMatch(/^import /m)
  })

  test('main and the engine are scripts of their own, and the engine knows no electron', () => {
    expect(readdirSync(join(out, 'main'))).toEqual(expect.arrayContaining(['engine.cjs', 'index.cjs']))
    const { main } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { main: string }
    expect(main).toBe('out/main/index.cjs')
    const engine = readdirSync(join(out, 'main')).filter((name) => name !== 'index.cjs')
    for (const name of engine) expect(readFileSync(join(out, 'main', name), 'utf8')).not.toMatch(/require\(["']electron["']\)/)
  })
})

test('the window is built into the folder that both hosts serve, and nowhere outside the project', () => {
  const read = `
    import { loadConfigFromFile } from 'electron-vite'
    const { config } = await loadConfigFromFile({ command: 'build', mode: 'production' })
    console.log(JSON.stringify([config.renderer.root, config.renderer.build.outDir]))`
  const folders = execFileSync(process.execPath, ['--input-type=module', '-e', read], { cwd: root, encoding: 'utf8' })
  expect(JSON.parse(folders)).toEqual([join(root, 'renderer'), join(root, 'out', 'renderer')])
})

describe('the menu', () => {
  interface Item {
    label?: string
    accelerator?: string
    click?: () => void
    submenu?: Item[]
  }
  const itemsOf = (language: 'en' | 'zh-CN', onCommand: (command: string) => void = () => undefined) => {
    const flatten = (items: Item[]): Item[] => items.flatMap((item) => [item, ...flatten(item.submenu ?? [])])
    return flatten(buildMenu(language, onCommand) as unknown as Item[])
  }

  test('speaks the language of the system', () => {
    expect(['zh', 'zh-CN', 'zh-Hans-SG', 'en-US', 'de', 'zhx'].map(menuLanguage)).toEqual(['zh-CN', 'zh-CN', 'zh-CN', 'en', 'en', 'en'])
  })

  test('has the same commands under the same keys in both languages, and no key twice', () => {
    const keys = (language: 'en' | 'zh-CN') => itemsOf(language).map(({ accelerator }) => accelerator)
    expect(keys('zh-CN')).toEqual(keys('en'))
    const used = keys('en').filter((key) => key !== undefined)
    expect(new Set(used).size).toBe(used.length)
    expect(itemsOf('zh-CN').filter(({ label }) => label !== undefined && !/[\u4e00-\u9fff]/.test(label))).toEqual([])
  })

  test('offers every command of the contract once', () => {
    const commands: string[] = []
    for (const { label, click } of itemsOf('en', (command) => commands.push(command))) if (label !== 'The ZigMa paper') click?.()
    expect(commands.sort()).toEqual([...menuCommand.options].sort())
  })
})
