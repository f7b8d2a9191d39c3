import { mkdirSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { compose } from '#main/compose.ts'
import { barriersOf, listenForComplaints, openBrowser } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
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
  await indexed(project)
  studio = await startHeadlessStudio(['--project', project])
  browser = await openBrowser()
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: 'dark', locale: 'en-US' })).newPage()
  page.setDefaultTimeout(30_000)
  complaints = listenForComplaints(page)
  await page.goto(studio.url)
  await page.getByRole('button', { name: 'hundred thousand', exact: true }).waitFor()
  await page.waitForTimeout(3000) // the project is open, and what is read in the background is read
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

/** A second on a machine that has nothing else to do, and longer by as much as it has. */
const aSecond = () => 1000 * Math.max(1, loadavg()[0]! / availableParallelism())

/** Opens a project once, so that it has its index, as one has that was imported here. */
async function indexed(project: string): Promise<void> {
  const home = temporaryFolder()
  const first = await compose({
    host: 'cli',
    settingsFolder: join(home, 'settings'),
    projectsFolder: join(home, 'projects'),
    launchEngine: () => {
      throw new StudioError('native-missing', 'There is no engine in this test.')
    },
  })
  const started = performance.now()
  await first.openFolder(project)
  await first.services['dataset.describe'](null, { signal: new AbortController().signal })
  console.log(`index of ${items} items made in ${Math.round(performance.now() - started)} ms`)
  await first.close()
}

const grid = () => page.getByRole('listbox', { name: 'Data set' })
const status = () => page.getByRole('status').filter({ hasText: /pictures|selected/ })

/** Milliseconds from opening the stage, or from scrolling to its end, until every tile in sight has painted its picture. */
const untilPainted = (act: 'open' | 'end') =>
  page.evaluate(async (what) => {
    const started = performance.now()
    if (what === 'open') location.hash = '#/curate'
    else document.querySelector('[role=listbox]')!.scrollTop = Number.MAX_SAFE_INTEGER
    for (;;) {
      await new Promise(requestAnimationFrame)
      const box = document.querySelector('[role=listbox]')
      const inSight = box ? [...box.querySelectorAll('.tile')].filter((one) => sees(box, one)) : []
      const isPainted = (one: Element) => {
        const image = one.querySelector('img')
        return image !== null && image.complete && image.naturalWidth > 0
      }
      if (inSight.length > 20 && inSight.every(isPainted)) break
      if (performance.now() - started > 20_000) break
    }
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))) // it is on the screen
    return performance.now() - started

    function sees(box: Element, one: Element): boolean {
      const [outer, inner] = [box.getBoundingClientRect(), one.getBoundingClientRect()]
      return inner.bottom > outer.top && inner.top < outer.bottom
    }
  }, act)

test('the grid of a hundred thousand pictures is painted within a second after the project is open', async () => {
  const tookMs = await untilPainted('open')
  console.log(`first paint of the grid: ${Math.round(tookMs)} ms`)
  await expect.poll(() => status().textContent()).toContain('100,000')
  await page.screenshot({ path: join(screenshots, 'curate-100000.png') })
  expect(tookMs).toBeLessThan(aSecond())
})

test('scrolling through them leaves no row out and drops hardly a frame', async () => {
  const { frames, longest, late, blankFrames } = await page.evaluate(async (edge) => {
    const box = document.querySelector('[role=listbox]')!
    const deltas: number[] = []
    let blank = 0
    let before = performance.now()
    for (let frame = 0; frame < 240; frame++) {
      box.scrollTop += frame < 180 ? 60 : 20_000 // by hand at first, then by the scroll bar
      await new Promise(requestAnimationFrame)
      const now = performance.now()
      deltas.push(now - before)
      before = now
      const { top, bottom } = box.getBoundingClientRect()
      const lines = [...box.querySelectorAll('.line')].map((line) => line.getBoundingClientRect())
      const covered = lines.filter((line) => line.bottom > top && line.top < bottom).reduce((sum, { height }) => sum + height + 4, 0)
      if (frame < 180 && covered < bottom - top - edge) blank++
    }
    return {
      frames: deltas.length,
      longest: Math.max(...deltas),
      late: deltas.filter((ms) => ms > 50).length,
      blankFrames: blank,
    }
  }, tile)
  console.log(
    `scrolling: ${frames} frames, ${late} later than 50 ms, the longest ${Math.round(longest)} ms, ${blankFrames} with rows missing`,
  )
  expect(blankFrames).toBe(0)
  expect(late).toBeLessThan((frames * 0.05 * aSecond()) / 1000)
})

test('a jump to the end shows the last picture within a second', async () => {
  const tookMs = await untilPainted('end')
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
