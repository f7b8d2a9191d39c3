import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { barriersOf, listenForComplaints, openBrowser } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
const workMs = 240_000
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  await build({ configFile: join(root, 'renderer', 'vite.config.ts'), logLevel: 'error' })
  mkdirSync(screenshots, { recursive: true })
  studio = await startHeadlessStudio()
  browser = await openBrowser()
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: 'dark',
    locale: 'en-US',
    reducedMotion: 'reduce',
  })
  page = await context.newPage()
  page.setDefaultTimeout(15_000)
  complaints = listenForComplaints(page)
  await page.goto(studio.url)
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const stage = async (name: string) => {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click()
  await page.getByRole('navigation').locator('.active').getByText(name, { exact: true }).waitFor()
}

describe('from the sample project to a picture', () => {
  test('an empty studio says what it is for and offers the sample project', async () => {
    await page.getByRole('heading', { name: 'Teach a model your pictures' }).waitFor()
    expect(new URL(page.url()).hash).not.toContain('t=')
    await look('welcome')
  })

  test(
    'the sample project imports its pictures and accounts for every file',
    async () => {
      await page.getByRole('button', { name: 'Start with the sample project' }).click()
      await page.getByRole('link', { name: 'Go on to training' }).waitFor({ timeout: workMs })
      const numbers = await page.getByRole('group', { name: 'Ledger' }).locator('b').allTextContents()
      const [found, used, partial, rejected] = numbers.map((text) => Number(text.replaceAll(',', '')))
      expect(found).toBeGreaterThan(1000)
      expect(used! + partial! + rejected!).toBe(found)
      await look('import')
    },
    workMs,
  )

  test('a caption can be changed, and changed back', async () => {
    await stage('Curate')
    await page.getByRole('option').first().click()
    const caption = page.getByRole('textbox', { name: 'Caption' })
    const before = await caption.inputValue()
    expect(before).not.toBe('')
    await caption.fill('a caption of my own')
    await caption.press('Enter')
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect.poll(() => caption.inputValue()).toBe(before)
    await look('curate')
  })

  test(
    'twenty steps of training end with a checkpoint',
    async () => {
      await stage('Train')
      await page.getByRole('spinbutton', { name: 'Steps', exact: true }).fill('20')
      await page.getByRole('button', { name: 'Start training' }).click()
      await page.getByText('20 of 20 steps').first().waitFor({ timeout: workMs })
      await page.getByRole('main').getByRole('link', { name: 'Generate' }).waitFor({ timeout: workMs })
      await look('train')
    },
    workMs,
  )

  test(
    'a prompt gives a picture',
    async () => {
      await page.getByRole('main').getByRole('link', { name: 'Generate' }).click()
      await page.getByRole('spinbutton', { name: 'Pictures' }).fill('1')
      await page.getByRole('spinbutton', { name: 'Steps', exact: true }).fill('4')
      await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('red apple')
      await page.keyboard.press('Control+Enter')
      await page.getByRole('img', { name: 'red apple' }).first().waitFor({ timeout: workMs })
      await look('generate')
    },
    workMs,
  )

  test('the picture is in the gallery with its settings, and still after a reload', async () => {
    await stage('Gallery')
    await page.reload()
    await page.getByRole('option', { name: 'red apple' }).click()
    await page.getByText('Reuse settings').waitFor()
    await expect
      .poll(() =>
        page
          .getByRole('img', { name: 'red apple' })
          .first()
          .evaluate((image: HTMLImageElement) => image.naturalWidth),
      )
      .toBeGreaterThan(0)
    await look('gallery')
  })

  test('the picture can be rated, put in the trash and taken back by keys alone', async () => {
    await page.keyboard.press('4')
    await page.getByRole('radio', { name: '4 stars', checked: true }).waitFor()
    await page.keyboard.press('Delete')
    await page.getByRole('heading', { name: 'No pictures yet' }).waitFor()
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.getByRole('option', { name: 'red apple' }).waitFor()
  })

  test('nothing on any stage is shut to people who use a keyboard or a screen reader, in both themes and in Chinese', async () => {
    await page.evaluate(() => localStorage.setItem('zigma.theme', 'light'))
    await page.reload()
    for (const name of ['Import', 'Curate', 'Train', 'Generate', 'Gallery']) {
      await stage(name)
      await look(name.toLowerCase())
    }
    await page.evaluate(() => localStorage.setItem('zigma.locale', 'zh-CN'))
    await page.reload()
    for (const name of ['导入', '整理', '训练', '生成', '图库']) {
      await stage(name)
      await page.screenshot({ path: join(screenshots, `zh-${name}.png`) })
    }
  })

  test('the browser had nothing to complain about', () => {
    expect(complaints).toEqual([])
  })
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  await page.waitForTimeout(300) // pictures and charts have come
  const theme = await page.evaluate(() => document.documentElement.dataset['theme'])
  await page.screenshot({ path: join(screenshots, `${name}-${theme}.png`) })
  expect(await barriersOf(page)).toEqual([])
}
