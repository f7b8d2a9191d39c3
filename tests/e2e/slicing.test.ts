import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { makePattern, makeScenes } from '#tests/support/made-videos.ts'
import { createProject } from '#main/store/project-folder.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
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
  const videos = join(home, 'films')
  mkdirSync(videos)
  makeScenes(join(videos, 'dusk and day.mp4'), [
    ['red', 20],
    ['#b03030', 20],
    ['blue', 24],
  ])
  makePattern(join(videos, 'short.mp4'), { frames: 11 })
  writeFileSync(join(videos, 'a broken one.mp4'), 'not a video')
  const project = join(home, 'project')
  await createProject(new SafeFs(), project, 'project')
  studio = await startHeadlessStudio(['--project', project, '--allow', home])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const within = { timeout: 10_000 }
const threshold = () => page.getByRole('slider', { name: 'Scene threshold' })
const scenes = (words: string) => page.getByRole('heading', { name: words, exact: true }).waitFor()
const total = (name: string) => page.getByRole('row', { name: new RegExp(`^${name}`) }).getByRole('cell')

describe('the cutting of videos', () => {
  test('opens from the Import stage, lists the videos of a folder and shows the first that can be read', async () => {
    await page.getByRole('navigation').getByRole('link', { name: 'Import', exact: true }).click()
    await page.getByRole('link', { name: 'Cut videos…' }).click()
    await page.getByRole('heading', { name: 'Choose a folder of videos' }).waitFor()
    await look('slicing-empty')
    await page.goto(`${page.url().replace(/#.*/, '')}#/import/clips?folder=${encodeURIComponent(join(home, 'films'))}`)
    await page.getByRole('option', { name: /broken one.mp4 The file is not an MP4/ }).waitFor()
    await page
      .getByRole('option', { name: /dusk and day.mp4 2.6 s · 64 × 48.*64 frames · 25 fps · sound ignored/, selected: true })
      .waitFor()
  })

  test('finds the scenes by itself, and the line moved by keys changes how many there are, without decoding again', async () => {
    await scenes('2 scenes')
    await expect.poll(() => total('used').textContent(), within).toBe('48')
    expect(await total('all frames').textContent()).toBe('64')
    await threshold().focus()
    await page.keyboard.press('Home')
    await scenes('3 scenes')
    await expect.poll(() => total('left over').textContent(), within).toBe('16')
    await page.keyboard.press('End')
    await scenes('1 scene')
    await expect.poll(() => total('used').textContent(), within).toBe('64')
    await page.keyboard.press('Home')
    for (let tens = 0; tens < 3; tens++) await page.keyboard.press('PageUp')
    await scenes('2 scenes')
    await look('slicing')
  })

  test('the line follows the mouse, and a threshold of one video leaves the others where they are', async () => {
    await page.getByLabel('This video has its own threshold').check()
    const line = (await threshold().boundingBox())!
    await page.mouse.move(line.x + 200, line.y + line.height / 2)
    await page.mouse.down()
    await page.mouse.move(line.x + 210, line.y - 200, { steps: 4 })
    await page.mouse.up()
    expect(await threshold().getAttribute('aria-valuetext')).toMatch(/^1.00: /)
    await page.getByRole('option', { name: /short/ }).click()
    await expect.poll(() => threshold().getAttribute('aria-valuetext'), within).toMatch(/^0.31: /)
    await page.getByRole('option', { name: /dusk/ }).click()
    await page.getByLabel('This video has its own threshold').uncheck()
    await scenes('2 scenes')
  })

  test('keys step over frames and cuts and set both ends of the trim; what is outside is counted', async () => {
    const words = page.getByText(/^Frame \d+ of 64/)
    await page.keyboard.press(']')
    await expect.poll(() => words.textContent(), within).toContain('Frame 41 of 64 · 1.60 s · scene 2 of 2')
    for (const key of ['.', '.', ',', 'o', '[']) await page.keyboard.press(key)
    await expect.poll(() => words.textContent(), within).toContain('Frame 41 of 64')
    expect(await page.getByRole('slider', { name: 'End of what is used' }).getAttribute('aria-valuenow')).toBe('42')
    await expect.poll(() => total('outside the trim').textContent(), within).toBe('22')
    await page.getByRole('slider', { name: 'Clips and what is dropped' }).focus()
    await page.keyboard.press('End')
    await page.getByText('Frames 43 to 64 are dropped, 22 of them: outside the trim').waitFor()
    await page.getByRole('button', { name: 'Use all of it' }).click()
    await expect.poll(() => total('used').textContent(), within).toBe('48')
  })

  test('plays over the frames and stops when asked to', async () => {
    const words = page.getByText(/^Frame \d+ of 64/)
    await page.getByRole('slider', { name: 'Playhead' }).focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('l')
    await expect.poll(() => words.textContent(), within).not.toContain('Frame 1 of')
    await page.keyboard.press('k')
    await page.getByRole('button', { name: 'Play', exact: true }).waitFor()
  })

  test('cuts all videos as a job and tells of each what became of it; a way out is one click and can be taken back', async () => {
    await page.getByRole('button', { name: 'Cut 3 videos' }).click()
    const row = (name: RegExp) => page.getByRole('listitem').filter({ hasText: name })
    await expect.poll(() => row(/dusk/).textContent(), within).toContain('3 clips · 48 of 64 frames')
    await expect.poll(() => row(/short/).textContent(), within).toContain('no clip fits')
    await page.getByRole('button', { name: 'rejected 2' }).waitFor()
    await page.getByRole('img', { name: 'Frame 1 of 16: dusk and day' }).waitFor()
    await page.getByText('Nothing is waiting.').waitFor()
    await look('slicing-ledger')
    await row(/short/).getByRole('button', { name: 'Allow clips from 11 frames' }).click()
    await expect.poll(() => row(/short/).textContent(), within).toContain('1 clip · 11 of 11 frames')
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect.poll(() => row(/short/).textContent(), within).toContain('no clip fits')
    await page.getByText('Nothing is waiting.').waitFor()
  })

  test('keeps its settings over a reload, and reads well in the light and in Chinese', async () => {
    await page.getByRole('button', { name: 'Cut', exact: true }).click()
    await page.reload()
    await scenes('2 scenes')
    expect(await threshold().getAttribute('aria-valuetext')).toBe('0.31: 1 cut')
    await choose(page, 'Theme', 'Light')
    await choose(page, 'Language', '简体中文')
    await page.getByRole('heading', { name: '2 个场景' }).waitFor()
    await look('slicing-zh')
    expect(complaints).toEqual([])
  })

  test('a single video that was chosen to be imported can be cut otherwise first', async () => {
    await choose(page, '语言', 'English')
    const film = join(home, 'films', 'short.mp4')
    await page.getByRole('navigation').getByRole('link', { name: 'Import', exact: true }).click()
    await page.getByLabel('or paste a path').fill(film)
    await page.getByLabel('or paste a path').press('Enter')
    await page.getByText('This video is cut into clips.').waitFor()
    await look('slicing-single')
    await page.getByRole('link', { name: 'Cut it otherwise…' }).click()
    await page.getByRole('option', { name: /^short.mp4/, selected: true }).waitFor()
    expect(await page.getByRole('option', { name: /\.mp4/ }).count()).toBe(1)
    await page.getByRole('button', { name: 'Cut 1 video' }).waitFor()
    expect(complaints).toEqual([])
  })
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
