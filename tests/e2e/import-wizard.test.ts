import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compose, type Studio } from '#main/compose.ts'
import { startHeadless, type HeadlessHost } from '#main/headless/server.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { zip } from '#tests/support/archives.ts'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { fakeEngine } from '#tests/support/fake-engine.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { landscape, scene } from '../fixtures/pictures.ts'

const screenshots = join(import.meta.dirname, '..', '..', 'build', 'screenshots')
let studio: Studio
let host: HeadlessHost
let browser: Browser
let page: Page
let complaints: string[]
let isFull = false

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const folder = temporaryFolder()
  const fs = new SafeFs((operation, path) => {
    if (isFull && operation === 'write' && path.includes('shards')) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    return undefined
  })
  studio = await compose({
    host: 'headless',
    fs,
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
  })
  await studio.openFolder(join(folder, 'Boats'), { create: true })
  host = await startHeadless(studio)
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser, { limitMs: 15_000 }))
  await page.goto(host.url)
  await page.getByRole('navigation').getByRole('link', { name: 'Import', exact: true }).click()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await host?.close()
  await studio?.close()
})

const shot = (name: string) => page.screenshot({ path: join(screenshots, `import-wizard-${name}.png`) })
const step = (title: string) => page.locator('[aria-current=step]').getByRole('heading', { name: title })

async function archive(): Promise<Buffer> {
  return zip([
    { name: 'broken.png', bytes: (await scene(7, 64, 64)).subarray(0, 300) },
    { name: 'cafe.png', bytes: await landscape(64, 64) },
    { name: 'cafe.txt', bytes: Buffer.from('un caf\u00e9', 'latin1') },
    { name: 'discs.png', bytes: await scene(3, 64, 64) },
    { name: 'discs.txt', bytes: Buffer.from('gray discs') },
  ])
}

test('a dropped archive is recognized, and what was chosen for it is still there after a reload', async () => {
  const bytes = (await archive()).toString('base64')
  await page.locator('.drop').evaluate((zone, base64) => {
    const dropped = new DataTransfer()
    dropped.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], 'boats.zip'))
    zone.dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true }))
  }, bytes)
  await page.getByText('A zip archive').waitFor()
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByLabel('Size of the training pictures').selectOption('64')
  await expect
    .poll(async () => (await studio.services['import.draft'](null, { signal: new AbortController().signal }))?.options.imageSize)
    .toBe(64)
  await page.reload()
  await step('How to bring it in').waitFor()
  expect(await page.getByLabel('Size of the training pictures').inputValue()).toBe('64')
  expect(await page.getByRole('radio', { name: /Keep copies/ }).isChecked()).toBe(true)
  await page.getByText('boats.zip').waitFor()
})

test('the check shows the pictures and what will not be used, with nothing written', async () => {
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByText('All 3 files were looked at. Nothing is written yet.').waitFor()
  await page.getByRole('img', { name: 'gray discs' }).waitFor()
  await page.getByText('damaged', { exact: true }).waitFor()
  expect(await barriersOf(page)).toEqual([])
  await shot('check')
})

test('a full disk stops the import with a card, and its button goes on once there is room', async () => {
  isFull = true
  await page.getByRole('button', { name: 'Import', exact: true }).click()
  await page.getByText('The disk is full: the import waits').waitFor()
  expect(await barriersOf(page)).toEqual([])
  await shot('full')
  await page.reload()
  await page.getByText('The disk is full: the import waits').waitFor()
  isFull = false
  await page.getByRole('button', { name: 'There is room now: go on' }).click()
  await step('Ledger').waitFor()
  const numbers = await page.getByRole('group', { name: 'Ledger' }).locator('b').allTextContents()
  expect(numbers).toEqual(['3', '1', '1', '1'])
})

test('a caption that could not be read is written by hand in the ledger, and Undo takes that back', async () => {
  const lines = page.getByRole('region', { name: 'Ledger', exact: true })
  await lines.getByText('cafe.png').click()
  const about = page.getByRole('complementary', { name: 'About cafe.png' })
  await about.getByRole('button', { name: 'Edit the caption…' }).click()
  await about.getByRole('textbox', { name: 'Caption' }).fill('a small café')
  await about.getByRole('button', { name: 'Save' }).click()
  await lines.getByText('mended').waitFor()
  await page.getByRole('button', { name: 'Undo' }).click()
  await lines.getByText('caption is not UTF-8').waitFor()
})

test('the ledger is filtered by reason and name, and what is shown is saved as CSV', async () => {
  await page.getByLabel('Reason').selectOption('corrupt')
  const lines = page.getByRole('region', { name: 'Ledger', exact: true }).getByRole('listitem')
  await expect.poll(() => lines.count()).toBe(1)
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as CSV' }).click()])
  const csv = readFileSync(await download.path(), 'utf8')
    .trim()
    .split('\r\n')
  expect(csv).toHaveLength(2)
  expect(csv[1]).toContain('broken.png,rejected,corrupt')
  await page.getByRole('searchbox', { name: 'Search names' }).fill('nowhere')
  await page.getByText('No file like this.').waitFor()
  expect(await barriersOf(page)).toEqual([])
})

test('the browser had nothing to complain about', () => {
  expect(complaints).toEqual([])
})
