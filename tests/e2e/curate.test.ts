import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { barriersOnScreen, choose, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { writeLargeProject } from '#tests/support/large-project.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const root = join(import.meta.dirname, '..', '..')
const screenshots = join(root, 'build', 'screenshots')
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const project = await writeLargeProject(join(temporaryFolder(), 'disks'), 2000, 32)
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

const within = { timeout: 10_000 }
const tile = (n: number) => page.getByRole('listbox').getByRole('option').nth(n)
const query = () => page.getByRole('searchbox')
const total = () => page.getByRole('main').getByRole('status').first()
const found = (text: string) => expect.poll(() => total().textContent(), within).toContain(text)

describe('the Curate stage', () => {
  test('shows all pictures of the data set, in the order in which they came', async () => {
    await found('2,000 pictures')
    expect(await tile(0).getAttribute('aria-label')).toBe('red apple number 0')
    expect(await tile(0).getAttribute('aria-setsize')).toBe('2000')
    await look('curate')
  })

  test('opens without asking for anything but pictures, and first for those in sight', async () => {
    const { page: other } = await openPage(browser)
    const calls: string[] = []
    const files: string[] = []
    const held: (() => void)[] = []
    let holds = true
    let isRead = false
    other.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => calls.push(/"method":"([\w.]+)"/.exec(String(payload))?.[1] ?? ''))
      socket.on('framereceived', ({ payload }) => (isRead ||= String(payload).includes('"validationItems":')))
    })
    other.on('request', (request) => ['script', 'stylesheet'].includes(request.resourceType()) && files.push(request.url()))
    await other.route('**/media/**', async (route) => {
      if (holds) await new Promise<void>((release) => held.push(release))
      await route.continue()
    })
    await other.goto(studio.url)
    await expect.poll(() => isRead, within).toBe(true)
    ;[calls.length, files.length] = [0, 0]

    await other.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
    const grid = other.getByRole('listbox')
    const tiles = grid.getByRole('option')
    await expect.poll(() => held.length, within).toBeGreaterThan(0)
    expect(files).toEqual([])
    expect(calls).not.toContain('curation.query')
    expect(calls).not.toContain('dataset.describe')
    const bottom = await grid.evaluate((box) => box.getBoundingClientRect().bottom)
    const tops = await tiles.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top))
    expect(Math.max(...tops)).toBeLessThan(bottom)

    holds = false
    for (const release of held) release()
    await expect.poll(() => tiles.count(), within).toBeGreaterThan(tops.length)
    await other.context().close()
  })

  test('says how often an epoch shows what is selected, of one and of many, and takes it back', async () => {
    const times = () => page.getByLabel('Shown per epoch')
    await tile(1).click()
    await times().fill('0')
    await times().press('Tab')
    await expect.poll(() => page.getByText('A whole number from 1 to 10000, please.').isVisible(), within).toBe(true)
    await look('curate-repeats-wrong')
    await times().fill('30')
    await times().press('Tab')
    await expect.poll(() => tile(1).textContent(), within).toContain('×30')
    await tile(4).click({ modifiers: ['Shift'] })
    expect(await times().inputValue()).toBe('')
    await times().fill('5')
    await times().press('Tab')
    for (const n of [1, 2, 3, 4]) await expect.poll(() => tile(n).textContent(), within).toContain('×5')
    await look('curate-repeats')
    await tile(0).click()
    await page.keyboard.press('Control+z')
    await expect.poll(() => tile(1).textContent(), within).toContain('×30')
    await page.keyboard.press('Control+z')
    await expect.poll(() => tile(1).textContent(), within).not.toContain('×')
  })

  test('rates and picks what is selected by single keys, and shows it on the picture', async () => {
    await tile(2).click()
    await page.keyboard.press('4')
    await expect.poll(() => tile(2).textContent(), within).toContain('★★★★')
    await page.keyboard.press('p')
    await expect.poll(() => tile(2).textContent(), within).toContain('✓')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('x')
    await expect.poll(() => tile(3).textContent(), within).toContain('✕')
    await page.keyboard.press('Control+z')
    await expect.poll(() => tile(3).textContent(), within).not.toContain('✕')
    await page.keyboard.press('Control+y')
    await expect.poll(() => tile(3).textContent(), within).toContain('✕')
  })

  test('finds by words and by terms, and names a mistake under the query', async () => {
    await query().fill('violet')
    await found('200 found')
    await query().fill('rating>=4')
    await found('1 found')
    await query().fill('blurr>1')
    await page.getByRole('alert').filter({ hasText: 'blurr' }).waitFor()
    await look('curate-mistake')
    await query().fill('')
    await found('2,000')
  })

  test('says where nothing is found because nothing was measured, and offers to', async () => {
    await query().fill('tag:nowhere')
    await page.getByText('Nothing here is like that.').waitFor()
    expect(await page.getByRole('button', { name: 'Measure all pictures' }).count()).toBe(0)
    await query().fill('duplicate:yes')
    await found('1,540 found') // those of the same pixels are known without
    await query().fill('blur<0.2')
    await found('0 found')
    await page.getByText(/^2,000 pictures are not measured yet/).waitFor()
    await look('curate-unmeasured')
    await query().fill('')
    await found('2,000 pictures')
  })

  test('takes a stretch with Shift and all with Ctrl+A', async () => {
    await tile(0).click()
    await tile(4).click({ modifiers: ['Shift'] })
    await found('5 of 2,000 selected')
    await tile(2).click({ modifiers: ['ControlOrMeta'] })
    await found('4 of 2,000 selected')
    await page.keyboard.press('Control+a')
    await found('2,000 of 2,000 selected')
    await tile(1).click({ modifiers: ['ControlOrMeta'] })
    await found('1,999 of 2,000 selected')
  })

  test('changes the captions of all but one by a rule that is previewed, and takes it back with one key', async () => {
    await page.getByLabel('Find', { exact: true }).fill('apple')
    await page.getByLabel('Replace with').fill('pear')
    await page.getByText('Changes 199 of 1,999 captions').waitFor()
    await look('curate-rule')
    await page.getByRole('button', { name: 'Change captions', exact: true }).click()
    await expect.poll(() => tile(0).getAttribute('aria-label'), within).toBe('red pear number 0')
    expect(await tile(1).getAttribute('aria-label')).toBe('orange apple number 1')
    await page.getByRole('listbox').focus()
    await page.keyboard.press('Control+z')
    await expect.poll(() => tile(0).getAttribute('aria-label'), within).toBe('red apple number 0')
  })

  test('gives tags to one and to many, and finds by them', async () => {
    await tile(0).click()
    await tile(9).click({ modifiers: ['Shift'] })
    await page.getByLabel('Tags', { exact: true }).fill('Favorite, round')
    await page.keyboard.press('Enter')
    await query().fill('tag:favorite')
    await found('10 found')
    await tile(0).click()
    await page.getByRole('button', { name: 'Remove the tag round' }).click()
    await query().fill('tag:round')
    await found('9 found')
    await query().fill('')
  })

  test('says of one picture and of many whose they are and who agreed, and takes it back', async () => {
    await found('2,000 pictures')
    await tile(0).click()
    await page.getByRole('button', { name: 'Rights and origin' }).click()
    await page.getByLabel('Consent').selectOption('given')
    await page.getByLabel('Licence').fill('CC-BY-4.0')
    await page.getByLabel('Licence').press('Tab')
    await query().fill('consent:given licence:CC-BY-4.0')
    await found('1 found')
    await query().fill('')
    await found('2,000')
    await tile(0).click()
    expect(await page.getByLabel('Licence').inputValue()).toBe('CC-BY-4.0')
    await page.getByLabel('Where it is from').scrollIntoViewIfNeeded()
    await look('curate-rights')
    await tile(4).click({ modifiers: ['Shift'] })
    expect(await page.getByLabel('Licence').inputValue()).toBe('')
    await page.getByLabel('Author').fill('Ada Example')
    await page.getByLabel('Author').press('Tab')
    await query().fill('author:"Ada Example"')
    await found('5 found')
    await page.getByRole('listbox').focus()
    await page.keyboard.press('Control+z')
    await found('0 found')
    await query().fill('')
  })

  test('gives a picture further captions and takes them away', async () => {
    await found('2,000 pictures')
    await tile(0).click()
    await page.getByRole('button', { name: 'Add another caption' }).click()
    await page.getByLabel('Caption 2', { exact: true }).fill('a disc like a tomato')
    await page.keyboard.press('Enter')
    await query().fill('tomato')
    await found('1 found')
    await tile(0).click()
    expect(await page.getByLabel('Caption', { exact: true }).inputValue()).toBe('red apple number 0')
    await page.getByRole('button', { name: 'Add another caption' }).scrollIntoViewIfNeeded()
    await look('curate-captions')
    await page.getByRole('button', { name: 'Remove caption 2' }).click()
    await found('0 found')
    await query().fill('')
    await found('2,000')
  })

  test('moves a threshold over the histogram by keys and shows or rejects what lies beyond', async () => {
    await page.getByRole('listbox').focus()
    await page.keyboard.press('h')
    await page.getByRole('region', { name: 'Measures' }).getByLabel('Measures').selectOption('width')
    const threshold = page.getByRole('slider', { name: 'Threshold' })
    await threshold.focus()
    await page.keyboard.press('End')
    // Widths are 256, 320, … 640 in turn: one of seven is the widest.
    await page.getByText('285 of 2,000 lie beyond').waitFor()
    await look('curate-threshold')
    await page.getByRole('button', { name: 'Show only these' }).click()
    await expect.poll(() => query().inputValue(), within).toBe('width>=640')
    await found('285 found')
    await page.getByRole('button', { name: 'Reject these' }).click()
    await query().fill('pick:reject')
    await found('286 found') // and the one from before
    await page.getByRole('listbox').focus()
    await page.keyboard.press('Control+z')
    await found('1 found')
    await query().fill('')
  })

  test('is where it was left after a look through the X-ray', async () => {
    await found('2,000 pictures')
    // An emptied query starts the grid over a moment after its last letter: until then it goes back to the top.
    const scrolled = async () => {
      await page.getByRole('listbox').evaluate((box) => (box.scrollTop = 5000))
      await page.waitForTimeout(600)
      return page.getByRole('listbox').evaluate((box) => box.scrollTop)
    }
    await expect.poll(scrolled, within).toBe(5000)
    await page.getByRole('listbox').click({ position: { x: 300, y: 300 } })
    const name = await page.getByRole('listbox').getByRole('option', { selected: true }).getAttribute('aria-label')
    await page.keyboard.press('t')
    await page.getByRole('heading', { name: 'Token X-ray' }).waitFor()
    await page.getByText('The original is no longer where it was imported from.').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('option', { name: name!, exact: true, selected: true }).waitFor()
    await expect.poll(() => page.getByRole('listbox').evaluate((box) => box.scrollTop), within).toBe(5000)
    const unpainted = () =>
      page.getByRole('listbox').evaluate((box) => [...box.querySelectorAll('img')].filter(({ naturalWidth }) => naturalWidth === 0).length)
    await expect.poll(unpainted, within).toBe(0)
  })

  test('reads well in the light and in Chinese, and complained about nothing', async () => {
    await choose(page, 'Theme', 'Light')
    await choose(page, 'Language', '简体中文')
    await look('curate-zh')
    await query().fill('blurr>1')
    await page.getByRole('alert').filter({ hasText: '没有名为“blurr”的字段' }).waitFor()
    await look('curate-mistake-zh')
    await query().fill('')
    expect(complaints).toEqual([])
  })
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
