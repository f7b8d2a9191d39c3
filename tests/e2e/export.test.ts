import { globSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { landscape } from '#tests/fixtures/pictures.ts'
import { barriersOf, barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { writeLargeProject } from '#tests/support/large-project.ts'
import { ffmpeg, makePattern } from '#tests/support/made-videos.ts'
import { projectWith } from '#tests/support/project-folder.ts'
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
  ;({ page, complaints } = await openPage(browser))
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

test(
  'the clips of a data set are exported as a video folder, and what stays out is said before and after, in both languages and themes',
  { timeout: 90_000 },
  async () => {
    const home = temporaryFolder()
    const mixed = join(home, 'mixed')
    mkdirSync(mixed)
    writeFileSync(join(mixed, 'valley at dusk.png'), await landscape(600, 400))
    makePattern(join(mixed, 'moving pattern.mp4'), { frames: 35, rate: 8, size: '192x108' })
    const both = await projectWith(join(home, 'both'), mixed, 64, ffmpeg)
    const other = await startHeadlessStudio(['--project', both])
    try {
      await page.goto(other.url)
      await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
      await page.getByText(/1 pictures and 2 clips/).waitFor()
      await page.getByRole('button', { name: 'Export…' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('1 picture', { exact: true }).waitFor()
      await dialog.getByText('2 clips stay out: choose “Video folder” for clips.').waitFor()
      await dialog.getByText('Video folder', { exact: true }).click()
      await dialog.getByText('2 clips', { exact: true }).waitFor()
      await dialog.getByText('1 picture stays out: choose another layout for pictures.').waitFor()
      expect(await dialog.getByLabel('Which pixels').isDisabled()).toBe(true)
      await look('export-clips')
      await dialog.getByRole('button', { name: 'Export', exact: true }).click()
      await dialog.getByText('Done.').waitFor()
      await dialog.getByText('1 picture stayed out: this layout holds clips.').waitFor()
      expect(globSync('**/*.mkv', { cwd: (await dialog.locator('code').textContent())! })).toHaveLength(2)
      await look('export-clips-done')
      await dialog.getByRole('button', { name: 'Close' }).click()

      await choose(page, 'Theme', 'Light')
      await page.getByRole('button', { name: 'Export…' }).click()
      await dialog.getByText('Video folder', { exact: true }).click()
      await dialog.getByText('2 clips', { exact: true }).waitFor()
      await look('export-clips')
      await page.keyboard.press('Escape')
      await choose(page, 'Language', '简体中文')
      for (const theme of ['浅色', '深色']) {
        await choose(page, '外观', theme)
        await page.getByRole('button', { name: '导出…' }).click()
        await dialog.getByText('2 个片段不会导出：导出片段请选“视频文件夹”。').waitFor()
        await dialog.getByText('视频文件夹', { exact: true }).click()
        await dialog.getByText('2 个片段', { exact: true }).waitFor()
        await look('export-clips-zh')
        await page.keyboard.press('Escape')
      }

      // A mistake in the query is said in the language of the window wherever the query is used.
      await page.getByRole('searchbox').fill('blurr>1')
      await page.getByRole('alert').filter({ hasText: '没有名为“blurr”的字段' }).waitFor()
      await page.getByRole('button', { name: '导出…' }).click()
      await dialog.getByRole('alert').filter({ hasText: '没有名为“blurr”的字段' }).waitFor()
      expect(await dialog.getByText('There is no').count()).toBe(0)
      await look('export-mistake-zh')
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: '生成描述…' }).click()
      await dialog.getByRole('button', { name: '试四张' }).click()
      await dialog.getByRole('alert').filter({ hasText: '没有名为“blurr”的字段' }).waitFor()
      await look('caption-mistake-zh')
      expect(complaints).toEqual([])
    } finally {
      await other.stop()
    }
  },
)

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
