import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { landscape } from '#tests/fixtures/pictures.ts'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { ffmpeg, makePattern } from '#tests/support/made-videos.ts'
import { projectWith } from '#tests/support/project-folder.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
const home = temporaryFolder()
const within = { timeout: 10_000 }
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const mixed = join(home, 'mixed')
  mkdirSync(mixed)
  writeFileSync(join(mixed, 'valley at dusk.png'), await landscape(600, 400))
  makePattern(join(mixed, 'moving pattern.mp4'), { frames: 35, rate: 8, size: '192x108' })
  const project = await projectWith(join(home, 'project'), mixed, 64, ffmpeg)
  studio = await startHeadlessStudio(['--project', project, '--allow', mixed])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser, { moves: true }))
  await page.goto(studio.url)
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const look = (name: string) => page.screenshot({ path: join(screenshots, `${name}.png`) })
const grid = () => page.getByRole('listbox', { name: 'Data set' })
const clip = () => grid().getByRole('option', { name: 'moving pattern, Clip of 16 frames' }).first()
const frames = () => page.getByRole('group', { name: 'The 16 frames of the clip' }).getByRole('button')

describe('clips', () => {
  test('stand in the grid beside pictures with the number of their frames, and move under the pointer', async () => {
    await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
    await clip().waitFor()
    expect(await grid().getByRole('option').count()).toBe(3)
    expect(await clip().locator('.frames').textContent()).toBe('▸ 16')
    await clip().hover()
    const film = clip().locator('img.film')
    await expect.poll(() => film.getAttribute('src'), within).toMatch(/media\/clip\/[0-9a-f]{20}\/[2-9]$/)
    await page.getByText(/1 pictures and 2 clips/).waitFor()
    await look('curate-clips')
  })

  test('are asked for by what they have', async () => {
    await page.getByRole('searchbox').or(page.getByPlaceholder(/Words/)).first().fill('seconds:2 kind:clip')
    await expect.poll(() => grid().getByRole('option').count(), within).toBe(2)
  })

  test('open in the X-ray, where the frame that is chosen drives the panes', async () => {
    await clip().click()
    await page.keyboard.press('t')
    await page.getByRole('heading', { name: 'Token X-ray' }).waitFor()
    await expect.poll(() => frames().count(), within).toBe(16)
    await frames().nth(4).click()
    const shown = page.locator('.patches img.pixelated')
    await expect.poll(() => shown.getAttribute('src'), within).toMatch(/\/4$/)
    await page.keyboard.press('.')
    await expect.poll(() => shown.getAttribute('src'), within).toMatch(/\/5$/)
    await page.getByText('Frame 6 in 16 × 16 patches').waitFor()
    await look('xray-clip')
  })

  test('are read through time by every third layer, forward and then backward', async () => {
    for (let i = 0; i < 2; i++) await page.keyboard.press(']')
    await page.getByText('time: forward').waitFor()
    await expect.poll(() => frames().nth(3).textContent(), within).toContain('read as number 4')
    await look('xray-clip-time')
    for (let i = 0; i < 3; i++) await page.keyboard.press(']')
    await page.getByText('time: backward').waitFor()
    await expect.poll(() => frames().nth(3).textContent(), within).toContain('read as number 13')
  })

  test('are read as a whole by a 3D zigzag, every step to a neighbor in space or in time', async () => {
    await page.getByLabel('Layers', { exact: true }).selectOption('zigzag-3d')
    await page.getByText('every step to a neighbor in space or in time').waitFor()
    await expect.poll(() => page.getByText('of 4096').count(), within).toBeGreaterThan(0)
    await look('xray-clip-3d')
  })

  test('raise no barrier and no complaint', async () => {
    expect(await barriersOf(page)).toEqual([])
    await page.keyboard.press('Escape')
    await grid().waitFor()
    expect(await barriersOf(page)).toEqual([])
    expect(complaints).toEqual([])
  })
})
