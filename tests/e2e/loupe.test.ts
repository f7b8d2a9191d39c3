import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { landscape, scene } from '#tests/fixtures/pictures.ts'
import { barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
import { writeLargeGallery } from '#tests/support/large-gallery.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { writePictureProject } from '#tests/support/picture-project.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const screenshots = join(import.meta.dirname, '..', '..', 'build', 'screenshots')
const within = { timeout: 10_000 }
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const pictures: Record<string, Uint8Array> = {
    'a-road.png': await landscape(2400, 1600),
    'b-leaves.png': await scene(1, 1600, 1200),
    'c-small.png': await scene(2, 120, 90),
  }
  const project = await writePictureProject(join(temporaryFolder(), 'loupe'), pictures, 64)
  await writeLargeGallery(project, 5)
  studio = await startHeadlessStudio(['--project', project])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
  await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const about = () => page.getByText(/× \d+ px · \d/)
const isSaid = (text: string | RegExp) => expect.poll(() => about().textContent(), within).toMatch(text)
const picture = () => page.locator('.room img')
const place = () => picture().evaluate((image) => image.getBoundingClientRect().toJSON() as DOMRect)

test('E opens the picture that is selected at full size, and its pixels are those of the original', async () => {
  await page.getByRole('option', { name: 'a road' }).click()
  await page.keyboard.press('e')
  await isSaid(/^2400 × 1600 px · 3\d%$/)
  await look('loupe')
  await page.keyboard.press(' ')
  await isSaid('2400 × 1600 px · 100%')
  await expect.poll(() => picture().getAttribute('src'), within).toContain('full=1')
  const { width, height } = await picture().evaluate((image: HTMLImageElement) => ({
    width: image.naturalWidth,
    height: image.naturalHeight,
  }))
  expect([width, height]).toEqual([2400, 1600])
  await look('loupe-pixels')
})

test('it is moved by dragging and by keys, and zoomed by the wheel around the pointer', async () => {
  const before = await place()
  const box = (await page.locator('.room').boundingBox())!
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x - 60, y - 40, { steps: 4 })
  await page.mouse.up()
  await expect.poll(async () => (await place()).x - before.x, within).toBeCloseTo(-60, 0)
  expect((await place()).y - before.y).toBeCloseTo(-40, 0)
  await isSaid('100%') // a drag is no click
  await page.keyboard.press('Shift+ArrowLeft')
  await expect.poll(async () => (await place()).x - before.x, within).toBeGreaterThan(0)
  const [atX, atY] = [box.x + 200, box.y + 150]
  const share = async () => {
    const now = await place()
    return [(atX - now.x) / now.width, (atY - now.y) / now.height].map((one) => Math.round(one * 500))
  }
  const under = await share()
  await page.mouse.move(atX, atY)
  await page.mouse.wheel(0, -600)
  await isSaid('200%')
  expect(await share()).toEqual(under)
})

test('arrows go to the next picture, marks are given there, and Escape goes back to all of it, then to the grid', async () => {
  await page.keyboard.press('ArrowRight')
  await isSaid('1600 × 1200 px')
  await page.keyboard.press('4')
  await expect.poll(() => page.getByRole('radio', { name: '4 stars' }).getAttribute('aria-checked'), within).toBe('true')
  await page.keyboard.press('ArrowRight')
  await isSaid('120 × 90 px')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await page.getByRole('option', { name: 'c small', selected: true }).waitFor()
  await page.keyboard.press('e')
  await isSaid('120 × 90 px')
  await page.keyboard.press('g')
  await page.getByRole('listbox').waitFor()
})

test('the way to fold the inspector stays in sight however far it is scrolled', async () => {
  const inspector = page.getByRole('complementary', { name: 'Inspector' })
  const fold = inspector.getByRole('button', { name: 'Fold the inspector' })
  const before = await fold.boundingBox()
  expect(await inspector.evaluate((one) => ((one.scrollTop = 10_000), one.scrollTop))).toBeGreaterThan(100)
  expect(await fold.boundingBox()).toEqual(before)
  await look('inspector-scrolled')
  await fold.click()
  await inspector.getByRole('button', { name: 'Unfold the inspector' }).click()
})

test('the loupe of the gallery is the same', async () => {
  await page.getByRole('navigation').getByRole('link', { name: 'Gallery', exact: true }).click()
  await page.getByRole('listbox', { name: 'Gallery' }).getByRole('option').first().click()
  await page.keyboard.press('e')
  await isSaid(/^16 × 16 px · \d/)
  const [fit] = [(await place()).width]
  await page.keyboard.press('+')
  await expect.poll(async () => Math.round(((await place()).width / fit) * 10), within).toBe(15)
  await page.keyboard.press('ArrowRight')
  await expect.poll(() => page.locator('.frame[aria-current="true"]').count(), within).toBe(1)
  await look('gallery-loupe')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await page.getByRole('listbox', { name: 'Gallery' }).waitFor()
  await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
})

test('it reads well in the light and in Chinese, and complained about nothing', async () => {
  await page.keyboard.press('e')
  await choose(page, 'Theme', 'Light')
  await look('loupe')
  await choose(page, 'Language', '简体中文')
  await look('loupe-zh')
  expect(complaints).toEqual([])
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
