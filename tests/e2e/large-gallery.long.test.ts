import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { writeLargeGallery } from '#tests/support/large-gallery.ts'
import { aSecond, indexed, scrolled, untilPainted } from '#tests/support/large-grid.ts'
import { writeLargeProject } from '#tests/support/large-project.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const screenshots = join(import.meta.dirname, '..', '..', 'build', 'screenshots')
const pictures = 100_000
const tile = 144
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const project = await writeLargeProject(join(temporaryFolder(), 'years of pictures'), 10, 16)
  await writeLargeGallery(project, pictures)
  await indexed(project, (first) => first.services['gallery.days']({ text: '', minRating: 0, pick: null, trashed: false }, { signal: new AbortController().signal })) // prettier-ignore
  studio = await startHeadlessStudio(['--project', project])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser, { moves: true, limitMs: 30_000 }))
  await page.goto(studio.url)
  await page.getByRole('button', { name: 'years of pictures', exact: true }).waitFor()
  await page.waitForTimeout(3000) // the project is open, and what is read in the background is read
}, 300_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const grid = () => page.getByRole('listbox', { name: 'Gallery' })
const status = () => page.getByRole('status').filter({ hasText: /pictures|selected/ })

test('the gallery of a hundred thousand pictures is painted within a second after the project is open', async () => {
  const tookMs = await untilPainted(page, { open: '#/gallery' })
  console.log(`first paint of the gallery: ${Math.round(tookMs)} ms`)
  await expect.poll(() => status().first().textContent()).toContain('100,000')
  await page.screenshot({ path: join(screenshots, 'gallery-100000.png') })
  expect(tookMs).toBeLessThan(aSecond())
})

test('scrolling through it leaves no row out and drops hardly a frame', async () => {
  const { frames, longest, late, blankFrames } = await scrolled(page, tile)
  console.log(`scrolling: ${frames} frames, ${late} later than 50 ms, the longest ${Math.round(longest)} ms, ${blankFrames} with rows missing`) // prettier-ignore
  expect(blankFrames).toBe(0)
  expect(late).toBeLessThan((frames * 0.05 * aSecond()) / 1000)
})

test('a jump to the end shows the oldest picture within a second', async () => {
  const tookMs = await untilPainted(page, 'end')
  console.log(`jump to the end: ${Math.round(tookMs)} ms`)
  expect(await grid().getByRole('option').last().getAttribute('aria-posinset')).toBe(String(pictures))
  expect(await grid().getByRole('option').last().getAttribute('aria-label')).toBe('blue picture 99999')
  expect(tookMs).toBeLessThan(aSecond())
})

test('all but one are moved to the trash at once without loading them, and come back with one key', async () => {
  await page.keyboard.press('Home')
  await grid().focus()
  await page.keyboard.press('Control+A')
  await expect.poll(() => status().first().textContent()).toContain('100,000 of 100,000 selected')
  await grid()
    .getByRole('option')
    .nth(2)
    .click({ modifiers: ['ControlOrMeta'] })
  await expect.poll(() => status().first().textContent()).toContain('99,999 of 100,000 selected')
  await page.screenshot({ path: join(screenshots, 'gallery-all-but-one.png') })
  await page.keyboard.press('Delete')
  await expect.poll(() => grid().getByRole('option').count(), { timeout: 20_000 }).toBe(1)
  await page.keyboard.press('Control+z')
  await expect.poll(() => grid().getByRole('option').first().getAttribute('aria-setsize'), { timeout: 20_000 }).toBe(String(pictures))
  expect(await barriersOf(page)).toEqual([])
  expect(complaints).toEqual([])
})
