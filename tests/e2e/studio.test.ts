import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { en } from '#renderer/locales/en.ts'
import { zhCN } from '#renderer/locales/zh-CN.ts'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
const workMs = 240_000
const words = { en, 'zh-CN': zhCN }
/** What a screen is there for: it is looked at when this is there, and all pictures in sight have come. */
const contents = {
  import: () => page.getByRole('main').locator('li[aria-posinset="1"]'),
  curate: () => page.getByRole('listbox').getByRole('option').first(),
  train: () => page.getByRole('main').locator('canvas, table img').nth(1),
  generate: () => page.getByRole('img', { name: 'red apple' }).first(),
  gallery: () => page.getByRole('option', { name: 'red apple' }),
}
/** English and dark last: the tests that follow read English. */
const appearances = [
  ['zh-CN', 'light'],
  ['zh-CN', 'dark'],
  ['en', 'light'],
  ['en', 'dark'],
] as const
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  studio = await startHeadlessStudio()
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser, { limitMs: 15_000 }))
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
  test('an empty studio says what it is for, offers the sample project, and keeps its token out of the address', async () => {
    await page.getByRole('heading', { name: 'Teach a model your pictures' }).waitFor()
    await page.getByRole('button', { name: 'Start with the sample project' }).waitFor()
    expect(new URL(page.url()).hash).not.toContain('t=')
  })

  test.each(appearances)('axe finds nothing serious on the empty studio in %s, %s', async (language, theme) => {
    await appear(language, theme)
    await page.getByRole('heading', { name: words[language].projects.emptyTitle }).waitFor()
    expect(await barriers(`welcome-${language}-${theme}`)).toEqual([])
  })

  test(
    'the sample project imports its pictures, and the ledger accounts for every file down to the last',
    async () => {
      await page.getByRole('button', { name: 'Start with the sample project' }).click()
      await page.getByRole('link', { name: 'Go on to training' }).waitFor({ timeout: workMs })
      const numbers = await page.getByRole('group', { name: 'Ledger' }).locator('b').allTextContents()
      const [found, used, partial, rejected] = numbers.map((text) => Number(text.replaceAll(',', '')))
      expect(found).toBeGreaterThan(1000)
      expect(used! + partial! + rejected!).toBe(found)

      const ledger = page.getByRole('region', { name: 'Ledger' })
      await ledger.evaluate((list) => list.scrollTo(0, list.scrollHeight))
      await ledger.locator(`li[aria-posinset="${found}"]`).getByText('.png').waitFor()
    },
    workMs,
  )

  test('a caption can be changed, and changed back', async () => {
    await stage('Curate')
    await page.getByRole('listbox').getByRole('option').first().click()
    const caption = page.getByRole('textbox', { name: 'Caption' })
    const before = await caption.inputValue()
    expect(before).not.toBe('')
    await caption.fill('a caption of my own')
    await caption.press('Enter')
    await page.getByRole('main').getByRole('button', { name: 'Undo' }).click()
    await expect.poll(() => caption.inputValue()).toBe(before)
  })

  test('what a preset would take is worked out when it is in sight, and no sooner', async () => {
    await stage('Train')
    const figures = page.getByText('million parameters')
    await figures.filter({ hasText: '2.54' }).waitFor()
    await page.getByRole('meter').waitFor() // the form's own forecast, which is asked for later
    expect(await figures.count()).toBe(1)
    await page.getByText('Other presets').click()
    await expect.poll(() => figures.count(), { timeout: 30_000 }).toBeGreaterThan(5)
  })

  test(
    'twenty steps of training end with a checkpoint',
    async () => {
      await stage('Train')
      const start = page.getByRole('button', { name: 'Start training' })
      await start.waitFor()
      expect(await start.evaluate(endsItsForm)).toBe(true) // in sight without scrolling, with nothing of the form below it
      await page.getByRole('spinbutton', { name: 'Steps', exact: true }).fill('20')
      await start.click()
      await page.getByText('20 of 20 steps').first().waitFor({ timeout: workMs })
      await page.getByRole('main').getByRole('link', { name: 'Generate' }).waitFor({ timeout: workMs })
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
  })

  test('keys rate the picture and put it in the trash, and Undo takes it back', async () => {
    await page.keyboard.press('4')
    await page.getByRole('radio', { name: '4 stars', checked: true }).waitFor()
    await page.keyboard.press('Delete')
    await page.getByRole('heading', { name: 'No pictures yet' }).waitFor()
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.getByRole('option', { name: 'red apple' }).waitFor()
  })

  test('the list of keys opens with ?, keeps other keys from what lies below, and closes with Escape', async () => {
    await page.getByRole('option', { name: 'red apple' }).click()
    await page.keyboard.press('?')
    const keys = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
    await keys.waitFor()
    await page.keyboard.press('Delete')
    await page.keyboard.press('Escape')
    await keys.waitFor({ state: 'detached' })
    await page.getByRole('option', { name: 'red apple' }).waitFor()
  })

  test.each(appearances)(
    'axe finds nothing serious on any screen in %s, %s',
    async (language, theme) => {
      await appear(language, theme)
      const { stage: names, projects } = words[language]
      const look = async (screen: string) => expect([screen, await barriers(`${screen}-${language}-${theme}`)]).toEqual([screen, []])
      for (const screen of ['import', 'curate', 'train', 'generate', 'gallery'] as const) {
        await stage(names[screen])
        await contents[screen]().waitFor()
        if (screen === 'curate' || screen === 'gallery') await page.getByRole('listbox').getByRole('option').first().click()
        await look(screen)
      }
      await page.goto(new URL('#/', page.url()).href)
      await page.getByRole('heading', { name: projects.title }).waitFor()
      await look('projects')
    },
    workMs,
  )

  test('the browser had nothing to complain about', () => {
    expect(complaints).toEqual([])
  })
})

type Language = keyof typeof words

/** Chooses language and theme as the menus do, and starts the page anew. */
async function appear(language: Language, theme: string): Promise<void> {
  await page.evaluate(
    ([chosenLanguage, chosenTheme]) => {
      localStorage.setItem('zigma.locale', chosenLanguage)
      localStorage.setItem('zigma.theme', chosenTheme)
    },
    [language, theme] as const,
  )
  await page.reload()
  await page.getByRole('navigation').getByText(words[language].stage.import, { exact: true }).waitFor()
  expect(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dataset['theme']])).toEqual([language, theme])
}

/** Whether the bar of a button is the last thing to be seen of its form; runs in the page. */
function endsItsForm(button: Element): boolean {
  const { left, bottom } = button.closest('form')!.getBoundingClientRect()
  return document.elementFromPoint(left + 2, bottom - 2) === button.parentElement && bottom < window.innerHeight
}

/** Pictures in sight that are not there yet; runs in the page. */
function picturesToCome(): number {
  const inSight = ({ top, bottom, width }: DOMRect) => width > 0 && bottom > 0 && top < window.innerHeight
  return [...document.images].filter((image) => !image.complete && inSight(image.getBoundingClientRect())).length
}

/** What axe finds serious or critical on the screen, which is kept as a picture under `name`. */
async function barriers(name: string): Promise<string[]> {
  await expect.poll(() => page.evaluate(picturesToCome)).toBe(0)
  await page.screenshot({ path: join(screenshots, `${name}.png`) })
  return barriersOf(page)
}
