import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { landscape } from '#tests/fixtures/pictures.ts'
import { barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { projectWith } from '#tests/support/project-folder.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
const home = temporaryFolder()
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const pictures = join(home, 'pictures')
  mkdirSync(pictures)
  writeFileSync(join(pictures, 'valley at dusk.png'), await landscape(600, 400))
  writeFileSync(join(pictures, 'tower.png'), await landscape(300, 500))
  const project = await projectWith(join(home, 'project'), pictures, 64)
  studio = await startHeadlessStudio(['--project', project, '--allow', pictures])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const within = { timeout: 10_000 }
const scan = () => page.getByRole('slider', { name: /^Path of layer/ })
const patches = () => page.getByRole('slider', { name: 'Patches of the training picture' })
const fact = (name: string) => page.locator('dl > div', { has: page.getByText(name, { exact: true }) }).locator('dd')

describe('the token X-ray', () => {
  test('opens over the selected picture by its key, on a model that fits the pictures', async () => {
    await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
    await page.getByRole('option', { name: 'valley at dusk' }).click()
    await page.keyboard.press('t')
    await page.getByRole('heading', { name: 'Token X-ray' }).waitFor()
    await expect.poll(() => page.getByLabel('Seen by').inputValue(), within).toBe('preset.small')
    await expect.poll(() => fact('Cropped away').textContent(), within).toBe('33 %')
    expect(await page.getByText(/This model works on pixels/).count()).toBe(1)
    await look('xray')
  })

  test('shows by arrow keys which token a patch is, when the layer reads it and what it covers', async () => {
    await patches().focus()
    await page.keyboard.press('Home')
    await expect.poll(() => patches().getAttribute('aria-valuetext'), within).toBe('row 1, column 1, token 0, position 1 of 256')
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown']) await page.keyboard.press(key)
    await expect.poll(() => fact('Token (0 – 255)').textContent(), within).toBe('18')
    // The second row of a zigzag is read from right to left: 16 + 15 - 2 tokens come before.
    expect(await fact('Position in layer 1').textContent()).toBe('30 of 256')
    expect(await fact('Pixels of the training picture').textContent()).toBe('x 8 – 11y 4 – 7')
    // 400 of 600 pixels are used, from 100 on; a patch is 25 of them.
    expect(await fact('Pixels of the original').textContent()).toBe('x 150 – 174y 25 – 49')
  })

  test('follows the pointer in every pane: a point of the original is the patch that it lies in', async () => {
    const original = page.getByRole('img', { name: 'The original: valley at dusk' })
    const box = (await original.boundingBox())!
    await page.mouse.move(box.x + (box.width * 112) / 600, box.y + (box.height * 390) / 400)
    await expect.poll(() => fact('Token (0 – 255)').textContent(), within).toBe('240')
    const square = (await scan().boundingBox())!
    await page.mouse.move(square.x + square.width - 3, square.y + 3)
    await expect.poll(() => fact('Token (0 – 255)').textContent(), within).toBe('15')
  })

  test('shows each layer its own path, by keys and by address', async () => {
    await page.keyboard.press(']')
    await page.getByText('Zigzag 2 of 8').waitFor()
    await page.getByText(/^from the top left, first downward/).waitFor()
    await page.keyboard.press('[')
    await page.getByText('Zigzag 1 of 8').waitFor()
    expect(new URL(page.url()).hash).toContain('layer=1')
    await page.getByRole('button', { name: /^Position in layer 7/ }).click()
    await page.getByText(/^from the bottom right, first to the left/).waitFor()
    await page.reload()
    await page.getByText(/^from the bottom right, first to the left/).waitFor()
  })

  test('moves nothing by itself for people who want less motion, and plays when asked to', async () => {
    const position = page.getByLabel('Position on the path')
    expect(await position.inputValue()).toBe('256')
    await scan().focus()
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'Pause', exact: true }).waitFor()
    await expect.poll(async () => Number(await position.inputValue()), within).toBeLessThan(200)
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'Play the path' }).waitFor()
  })

  test('draws the path from the same pixels as the trainer: the shown picture has the size of the training picture', async () => {
    const image = scan().locator('img')
    expect(await image.evaluate((one: HTMLImageElement) => [one.naturalWidth, one.naturalHeight])).toEqual([64, 64])
    expect(await image.evaluate((one) => getComputedStyle(one).imageRendering)).toBe('pixelated')
  })

  test('goes on to the next picture and back by arrow keys', async () => {
    await page.getByRole('button', { name: 'Curate' }).click()
    await page.getByRole('listbox').getByRole('option').first().click()
    await page.keyboard.press('t')
    await expect.poll(() => fact('File').textContent(), within).toBe('tower.png')
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => fact('File').textContent(), within).toBe('valley at dusk.png')
    await page.keyboard.press('ArrowLeft')
    await expect.poll(() => fact('File').textContent(), within).toBe('tower.png')
    await expect.poll(() => fact('Cropped away').textContent(), within).toBe('40 %')
  })

  test('names what another model would do: passes both ways, latents without an autoencoder', async () => {
    await page.getByLabel('Seen by').selectOption('preset.sweep2_b1_pe2')
    await page.getByText(/works on what an autoencoder makes of a picture/).waitFor()
    await page.getByRole('button', { name: 'pass 2' }).click()
    await page.getByText('Row by row, pass 2 of 2').waitFor()
    await page.getByText(/31 jumps \(dashed\)$/).waitFor()
    await page.screenshot({ path: join(screenshots, 'xray-two-way.png') })
  })

  test('reads well in the light and in Chinese', async () => {
    await page.getByLabel('Seen by').selectOption('preset.small')
    await choose(page, 'Theme', 'Light')
    await look('xray')
    await choose(page, 'Language', '简体中文')
    await page.getByRole('heading', { name: '词元透视' }).waitFor()
    await look('xray-zh')
  })

  test('plays once when it is opened, for people who like motion', async () => {
    const moving = await (await browser.newContext({ viewport: { width: 1600, height: 1000 }, locale: 'en-US' })).newPage()
    await moving.goto(page.url())
    await moving.context().addCookies(await page.context().cookies())
    await moving.reload()
    await moving.getByRole('button', { name: 'Pause', exact: true }).waitFor()
    await moving.waitForTimeout(700)
    await moving.screenshot({ path: join(screenshots, 'xray-playing.png') })
    await moving.context().close()
  })

  test('gives back the data set on Escape, and nothing was complained about', async () => {
    await page.keyboard.press('Escape')
    await page.getByRole('listbox').getByRole('option').first().waitFor()
    expect(complaints).toEqual([])
  })
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
