import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
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
  const [a, b, c] = [await scene(1, 1500, 1000), await scene(2, 400, 300), await landscape(900, 600)]
  const pictures = {
    'holiday.png': a,
    'holiday-small.jpg': await sharp(a).resize(480).jpeg({ quality: 70 }).toBuffer(),
    'holiday-soft.png': await sharp(a).blur(6).png().toBuffer(),
    'market.png': b,
    'market-again.png': await sharp(b).png({ compressionLevel: 1 }).toBuffer(),
    'road.png': c,
    'road.jpg': await sharp(c).jpeg({ quality: 60 }).toBuffer(),
    'alone.png': await scene(7, 300, 300),
  }
  studio = await startHeadlessStudio(['--project', await writePictureProject(join(temporaryFolder(), 'twins'), pictures, 64)])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
  await page.getByRole('navigation').getByRole('link', { name: 'Curate', exact: true }).click()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const stage = () => page.getByRole('region', { name: 'Duplicates' })
const heading = () => stage().getByRole('heading', { level: 2 }).textContent()
const onGroup = (text: string) => expect.poll(async () => (await heading())?.trim(), within).toBe(text)
const card = (name: string) => stage().getByRole('group', { name: new RegExp(`^Picture \\d+: ${name}(,|$)`) })
const names = () =>
  stage()
    .locator('.card')
    .evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))
const decided = (text: string) => expect.poll(() => stage().getByRole('status').first().textContent(), within).toContain(text)
const isActive = (name: string) => expect.poll(() => card(name).evaluate((one) => one === document.activeElement), within).toBe(true)

test('what is not measured is said, and measured from there', async () => {
  await page.getByRole('option', { name: 'market', exact: true }).click()
  await page.getByLabel('Used for').selectOption('training')
  await page.getByRole('option', { name: 'market again' }).click()
  await page.getByLabel('Used for').selectOption('checking')
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'Duplicates' }).click()
  await onGroup('Group 1 of 1') // those of the same pixels are known without
  await stage()
    .getByText(/^8 pictures are not measured yet/)
    .waitFor()
  await look('duplicates-unmeasured')
  await stage().getByRole('button', { name: 'Measure all pictures' }).click()
  await onGroup('Group 2 of 3') // what one looks at stays in sight
  await page.keyboard.press('ArrowUp')
  await onGroup('Group 1 of 3')
  await decided('0 of 3 groups decided')
})

test('the pictures of a group stand side by side, the largest and sharpest first, each with what it has before the others', async () => {
  await expect.poll(names, within).toEqual(['Picture 1: holiday, best', 'Picture 2: holiday soft', 'Picture 3: holiday small'])
  await card('holiday').getByText('1500 × 1000 px').waitFor()
  await card('holiday').getByText('sharpest').waitFor()
  expect(await card('holiday soft').getByText('largest').count()).toBe(1)
  expect(await card('holiday soft').getByText('sharpest').count()).toBe(0)
  await look('duplicates')
})

test('all of them are looked at at once down to their pixels, at the same place', async () => {
  const images = () => stage().locator('.card img')
  const widths = () => images().evaluateAll((all) => all.map((one) => Math.round(one.getBoundingClientRect().width)))
  const [small] = await widths()
  await card('holiday').focus()
  await page.keyboard.press(' ')
  await expect.poll(async () => (await widths())[0], within).toBe(1500)
  expect(new Set(await widths()).size).toBe(1) // the small copy is enlarged to the same size
  await expect.poll(() => images().first().getAttribute('src'), within).toContain('full=1')
  await look('duplicates-pixels')
  await page.keyboard.press('Escape')
  await expect.poll(async () => (await widths())[0], within).toBe(small)
})

test('Enter keeps the picture that is meant, rejects the others and goes on; Ctrl+Z takes it back', async () => {
  await card('holiday').focus()
  await page.keyboard.press('ArrowRight')
  await isActive('holiday soft')
  await page.keyboard.press('Enter')
  await page.getByText('One is kept, 2 are rejected').waitFor()
  await decided('1 of 3 groups decided')
  await onGroup('Group 1 of 2')
  await isActive('market again')
  await page.keyboard.press('Control+z')
  await onGroup('Group 1 of 3')
  await expect.poll(names, within).toEqual(['Picture 1: holiday, best', 'Picture 2: holiday soft', 'Picture 3: holiday small'])
})

test('a group in training and in checking at once is said to be one, and has a list of its own', async () => {
  await stage().getByRole('button', { name: 'In training and checking 2' }).click()
  await onGroup('Group 1 of 2')
  await page.keyboard.press('ArrowDown')
  await onGroup('Group 2 of 2')
  await stage().getByText('Trained on and held out at once: checking would look better than it is.').waitFor()
  await stage().getByText('the same pixels').waitFor()
  await look('duplicates-leak')
  await card('market again').getByRole('button', { name: 'Reject' }).click()
  await onGroup('Group 1 of 1')
  await page.keyboard.press('b')
  await stage().getByRole('heading', { name: 'Nothing is trained on and held out at once' }).waitFor()
  await look('duplicates-no-leak')
  for (let i = 0; i < 2; i++) await page.getByRole('button', { name: 'Undo', exact: true }).first().click()
  await onGroup('Group 1 of 2')
  await stage()
    .getByRole('button', { name: /^To decide/ })
    .click()
})

test('one press keeps the best of all groups, one takes it back, and a whole group can be kept', async () => {
  await onGroup('Group 1 of 3')
  await stage().getByRole('button', { name: 'Keep the best of every group' }).click()
  await page.getByText('3 groups decided, 4 pictures rejected').waitFor()
  await stage().getByRole('heading', { name: 'All groups are decided' }).waitFor()
  await look('duplicates-decided')
  await stage().getByRole('button', { name: 'Look at all groups' }).click()
  await onGroup('Group 1 of 3')
  await look('duplicates-all')
  await page.keyboard.press('Control+z')
  await decided('0 of 3 groups decided')
  await page.keyboard.press('a')
  await page.getByText('All of them are kept').waitFor()
  await onGroup('Group 2 of 3')
  await decided('1 of 3 groups decided')
  await page.keyboard.press('ArrowUp')
  await onGroup('Group 1 of 3')
  await card('holiday, picked').waitFor()
  await page.keyboard.press('Control+z')
  await decided('0 of 3 groups decided')
})

test('an item of the data set leads to its group, and back', async () => {
  await page.keyboard.press('Escape')
  await page.getByRole('option', { name: 'road', exact: true }).first().click()
  await page.getByRole('complementary', { name: 'Inspector' }).getByRole('link', { name: 'looks alike' }).click()
  await onGroup('Group 3 of 3')
  await card('road, best').getByText('road.png').waitFor() // of the same size and as sharp, and without loss
  await page.keyboard.press('Escape')
  await page.getByRole('option', { name: 'road', exact: true, selected: true }).waitFor()
})

test('it reads well in the light and in Chinese, and complained about nothing', async () => {
  await page.keyboard.press('d')
  await stage().waitFor()
  await choose(page, 'Theme', 'Light')
  await look('duplicates')
  await choose(page, 'Language', '简体中文')
  await look('duplicates-zh')
  await choose(page, '外观', '深色')
  await look('duplicates-zh')
  expect(complaints).toEqual([])
})

/** Keeps what is on the screen in the theme of the moment and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  expect(await barriersOnScreen(page, screenshots, name)).toEqual([])
}
