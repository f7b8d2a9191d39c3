import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { aSecond, indexed, scrolled, untilPainted } from '#tests/support/large-grid.ts'
import { writeLargeProject } from '#tests/support/large-project.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
const items = 100_000
const tile = 88
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const project = await writeLargeProject(join(temporaryFolder(), 'hundred thousand'), items, 16)
  await indexed(project, (first) => first.services['dataset.describe'](null, { signal: new AbortController().signal }))
  studio = await startHeadlessStudio(['--project', project])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser, { moves: true, limitMs: 30_000 }))
  await page.goto(studio.url)
  await page.getByRole('button', { name: 'hundred thousand', exact: true }).waitFor()
  await page.waitForTimeout(3000) // the project is open, and what is read in the background is read
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const grid = () => page.getByRole('listbox', { name: 'Data set' })
const status = () => page.getByRole('status').filter({ hasText: /pictures|selected/ })

test('the grid of a hundred thousand pictures is painted within a second after the project is open', async () => {
  const tookMs = await untilPainted(page, { open: '#/curate' })
  console.log(`first paint of the grid: ${Math.round(tookMs)} ms`)
  await expect.poll(() => status().textContent()).toContain('100,000')
  await page.screenshot({ path: join(screenshots, 'curate-100000.png') })
  expect(tookMs).toBeLessThan(aSecond())
})

test('scrolling through them leaves no row out and drops hardly a frame', async () => {
  const { frames, longest, late, blankFrames } = await scrolled(page, tile)
  console.log(
    `scrolling: ${frames} frames, ${late} later than 50 ms, the longest ${Math.round(longest)} ms, ${blankFrames} with rows missing`,
  )
  expect(blankFrames).toBe(0)
  expect(late).toBeLessThan((frames * 0.05 * aSecond()) / 1000)
})

test('a jump to the end shows the last picture within a second', async () => {
  const tookMs = await untilPainted(page, 'end')
  console.log(`jump to the end: ${Math.round(tookMs)} ms`)
  await grid().getByRole('option').last().waitFor()
  expect(await grid().getByRole('option').last().getAttribute('aria-posinset')).toBe(String(items))
  expect(tookMs).toBeLessThan(aSecond())
})

test('all are selected at once and none of them is loaded for it', async () => {
  let asked = 0
  page.on('websocket', (socket) => socket.on('framesent', () => asked++))
  await grid().focus()
  await page.keyboard.press('Control+A')
  await expect.poll(() => status().textContent()).toContain('100,000 of 100,000 selected')
  expect(asked).toBe(0)
  expect(await page.locator('[role=option]').count()).toBeLessThan(400)
  await page.screenshot({ path: join(screenshots, 'curate-all-selected.png') })
  await page.keyboard.press('Escape')
})

test('memory stays within bounds after half of them were scrolled past', async () => {
  await page.evaluate(async () => {
    const box = document.querySelector('[role=listbox]')!
    for (let place = 0; place < 60; place++) {
      box.scrollTop = (box.scrollHeight * place) / 120
      await new Promise((resolve) => setTimeout(resolve, 80))
    }
  })
  const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize)
  console.log(`heap after scrolling: ${Math.round(heap / 2 ** 20)} MiB`)
  expect(heap).toBeLessThan(200 * 2 ** 20)
  expect(await barriersOf(page)).toEqual([])
  expect(complaints).toEqual([])
})
