import { globSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barriersOf, listenForComplaints, openBrowser } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { writeLargeProject } from '#tests/support/large-project.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const screenshots = join(import.meta.dirname, '..', '..', 'build', 'screenshots')
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]
let project: string

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  project = await writeLargeProject(join(temporaryFolder(), 'disks'), 60, 16)
  studio = await startHeadlessStudio(['--project', project])
  browser = await openBrowser()
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'dark', locale: 'en-US', reducedMotion: 'reduce' })).newPage() // prettier-ignore
  page.setDefaultTimeout(10_000)
  complaints = listenForComplaints(page)
  await page.goto(studio.url)
  await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

test('what a query finds is exported from the Curate stage, and lies in the folder that is shown', async () => {
  await page.getByRole('searchbox').fill('violet')
  await page.getByRole('button', { name: 'Export…' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Image folder').click()
  const shown = dialog.getByLabel('Folder', { exact: true })
  await expect.poll(() => shown.inputValue()).toBe(join(project, 'exports', 'disks imagefolder'))
  await dialog.getByLabel('Which pictures').selectOption('query')
  await dialog.getByText('6 pictures', { exact: true }).waitFor()
  expect(await barriersOf(page)).toEqual([])
  await page.screenshot({ path: join(screenshots, 'export.png') })

  await dialog.getByRole('button', { name: 'Export', exact: true }).click()
  await dialog.getByText('Done.').waitFor()
  const folder = (await dialog.locator('code').textContent())!
  expect(readdirSync(folder)).toContain('README.md')
  expect(globSync('**/*.png', { cwd: folder })).toHaveLength(6)
  expect(await barriersOf(page)).toEqual([])
  await page.screenshot({ path: join(screenshots, 'export-done.png') })
  await dialog.getByRole('button', { name: 'Close' }).click()
  expect(complaints).toEqual([])
})
