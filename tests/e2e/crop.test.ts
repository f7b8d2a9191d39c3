import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { landscape, scene } from '#tests/fixtures/pictures.ts'
import { barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
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
  const pictures = { 'a.png': await landscape(900, 600), 'b.png': await scene(1), 'c.png': await scene(2, 200, 300) }
  studio = await startHeadlessStudio(['--project', await writePictureProject(join(temporaryFolder(), 'views'), pictures, 64)])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
  await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const inspector = () => page.getByRole('complementary', { name: 'Inspector' })
const tool = () => page.getByRole('region', { name: 'Crop', exact: true })
const area = () => tool().getByRole('application')
const preview = () => inspector().locator('img.preview')
const address = () => preview().getAttribute('src')
const said = () => tool().getByRole('status').textContent()

test('a picture is cropped by keys alone, the picture that is trained on changes with it, and one key takes it back', async () => {
  await page.getByRole('listbox').getByRole('option').first().click()
  const before = await address()
  await page.keyboard.press('r')
  await expect.poll(said, within).toBe('600 × 600 px at 150, 0 · 33% cut away')
  await expect.poll(() => area().evaluate((one) => one === document.activeElement), within).toBe(true)
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft')
  for (let i = 0; i < 5; i++) await page.keyboard.press('Shift+ArrowLeft')
  await page.keyboard.press('Alt+ArrowDown')
  expect(await said()).toBe('570 × 570 px at 132, 1 · 40% cut away')
  await page.keyboard.press('g')
  await tool().getByText('3:2 · 1').waitFor()
  await look('crop')
  await page.keyboard.press('Enter')
  await expect.poll(address, within).not.toBe(before)
  const cropped = await address()
  expect(await inspector().getByRole('button', { name: 'By hand…' }).getAttribute('aria-pressed')).toBe('true')
  await look('curate-cropped')
  await page.keyboard.press('Control+z')
  await expect.poll(address, within).toBe(before)
  await page.keyboard.press('Control+y')
  await expect.poll(address, within).toBe(cropped)
})

test('smart and center are one click for one picture and for many', async () => {
  await page.keyboard.press('r')
  await tool().getByRole('button', { name: 'Smart' }).click()
  await expect.poll(said, within).toContain('600 × 600 px')
  await page.keyboard.press('Escape')
  expect(await inspector().getByRole('button', { name: 'By hand…' }).getAttribute('aria-pressed')).toBe('true') // as it was
  await page.keyboard.press('Control+a')
  await inspector().getByRole('button', { name: 'Smart' }).click()
  await page.getByText('3 pictures changed').waitFor()
  await page.getByRole('listbox').getByRole('option').first().click()
  await expect.poll(() => inspector().getByRole('button', { name: 'Smart' }).getAttribute('aria-pressed'), within).toBe('true')
  await expect.poll(() => inspector().getByText('Not made yet').count(), within).toBe(0)
})

test('the tool follows the mouse, reads well in the light and in Chinese, and complained about nothing', async () => {
  await choose(page, 'Theme', 'Light')
  await choose(page, 'Language', '简体中文')
  await page.getByRole('listbox').focus()
  await page.keyboard.press('r')
  const handle = page.getByRole('application')
  const box = (await handle.boundingBox())!
  await page.mouse.move(box.x + box.width - 6, box.y + box.height - 6)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  await page.mouse.up()
  const smaller = (await handle.boundingBox())!
  expect(Math.abs(smaller.width - smaller.height)).toBeLessThan(2)
  expect(smaller.width).toBeLessThan(box.width * 0.6)
  await page.mouse.move(smaller.x + smaller.width / 2, smaller.y + smaller.height / 2)
  await page.mouse.down()
  await page.mouse.move(smaller.x + smaller.width / 2 + 40, smaller.y + smaller.height / 2 + 30)
  await page.mouse.up()
  expect((await handle.boundingBox())!.x).toBeCloseTo(smaller.x + 40, -1)
  await look('crop-zh')
  expect(complaints).toEqual([])
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
