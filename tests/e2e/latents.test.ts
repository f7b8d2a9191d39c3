import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { landscape } from '#tests/fixtures/pictures.ts'
import { barriersOf, openBrowser, openPage } from '#tests/support/browser.ts'
import { startHeadlessStudio, type HeadlessStudio } from '#tests/support/headless-studio.ts'
import { projectWith } from '#tests/support/project-folder.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { exactAutoencoder, meanAutoencoder, writeAutoencoder } from '#tests/support/tiny-autoencoders.ts'

const screenshots = join(import.meta.dirname, '..', '..', 'build', 'screenshots')
const home = temporaryFolder()
let studio: HeadlessStudio
let browser: Browser
let page: Page
let complaints: string[]

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true })
  const pictures = join(home, 'pictures')
  mkdirSync(pictures)
  for (const [i, name] of ['valley', 'tower', 'sea'].entries())
    writeFileSync(join(pictures, `${name}.png`), await landscape(400 + 60 * i, 400))
  writeAutoencoder(join(home, 'exact'), exactAutoencoder(), { _class_name: 'AutoencoderKL', scaling_factor: 0.5 })
  writeAutoencoder(join(home, 'mean'), meanAutoencoder())
  const project = await projectWith(join(home, 'project'), pictures, 64)
  process.env['HOME'] = home // where the folder browser begins
  studio = await startHeadlessStudio(['--project', project, '--allow', home])
  browser = await openBrowser()
  ;({ page, complaints } = await openPage(browser))
  await page.goto(studio.url)
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await studio?.stop()
})

const to = (stage: string) => page.getByRole('navigation').getByRole('link', { name: stage, exact: true }).click()

async function choose(folder: string): Promise<void> {
  await page.getByRole('button', { name: /^Choose an(other|\sautoencoder)/ }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: folder, exact: true }).click()
  await dialog
    .getByText('No folders here')
    .or(dialog.getByRole('button', { name: 'vae_encoder' }))
    .waitFor()
  await dialog.getByRole('button', { name: 'Choose this folder' }).click()
}

describe('an autoencoder in the window', () => {
  test('is chosen where people train, says what it is, and makes presets fit that were too small', async () => {
    await to('Train')
    await page.getByText('The pixels themselves.').waitFor()
    expect(await page.getByRole('radio', { name: /^tiny/ }).isVisible()).toBe(false) // for pictures of 32 pixels
    await choose('exact')
    await page.getByText('12 channels · 2 × 2 px each').waitFor()
    await page.getByRole('radio', { name: /^tiny/ }).waitFor({ state: 'attached' })
    await look('train-latents')
  })

  test('trains a model whose pictures are as large as those of the data set', async () => {
    await page.getByRole('radio', { name: /^tiny/ }).check({ force: true })
    await page.getByLabel('Steps').fill('2')
    await page.getByLabel('Batch').fill('1')
    await page.getByLabel('Sample prompts').fill('valley')
    await page.getByRole('button', { name: 'Start training' }).click()
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 60_000 })
    const sample = page.locator('.film img').first()
    await expect.poll(() => sample.evaluate((one: HTMLImageElement) => one.naturalWidth)).toBe(64)
    await page.getByText(/for 3 encoded pictures$/).waitFor()
  }, 90_000)

  test('shows in the X-ray what it makes of a picture, and that nothing is lost', async () => {
    await to('Curate')
    await page.getByRole('listbox').getByRole('option').first().click()
    await page.keyboard.press('t')
    await page.getByRole('button', { name: 'Autoencoder', exact: true }).click()
    await page.getByText('nothing lost').waitFor()
    expect(await page.getByRole('img', { name: /^Channel/ }).count()).toBe(12)
    await look('xray-round-trip')
  })

  test('lends its latents to an export in the layout of ZigMa, and to no other', async () => {
    await to('Curate')
    await page.getByRole('button', { name: 'Export…' }).click()
    const dialog = page.getByRole('dialog')
    const latents = dialog.getByLabel('Add the latents of “exact”')
    await dialog.getByText('3 pictures', { exact: true }).waitFor()
    expect(await latents.isVisible()).toBe(false)
    await dialog.getByText('ZigMa', { exact: true }).click()
    await latents.check()
    await look('export-latents')
    await dialog.getByRole('button', { name: 'Export', exact: true }).click()
    await dialog.getByText('Done.').waitFor()
    const folder = (await dialog.locator('code').textContent())!
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('`img_feature64.npy` is what the autoencoder "exact" gives')
    await dialog.getByRole('button', { name: 'Close' }).click()
  })

  test('says in decibels what another one loses, and is gone when it is removed', async () => {
    await to('Train')
    await choose('mean')
    await page.getByText('3 channels · 2 × 2 px each').waitFor()
    await to('Curate')
    await page.getByRole('listbox').getByRole('option').first().click()
    await page.keyboard.press('t')
    await page.getByLabel('Seen by').selectOption('preset.small')
    await page.getByRole('button', { name: 'Autoencoder', exact: true }).click()
    await page.getByText(/^\d\d\.\d dB$/).waitFor()
    await to('Train')
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await page.getByText('The pixels themselves.').waitFor()
    await to('Curate')
    await page.getByRole('listbox').getByRole('option').first().click()
    await page.keyboard.press('t')
    await page.getByRole('button', { name: 'Autoencoder', exact: true }).click()
    await page.getByRole('heading', { name: 'No autoencoder' }).waitFor()
    await look('xray-no-autoencoder')
    expect(complaints).toEqual([])
  })
})

/** Keeps what is on the screen and lets nothing serious pass. */
async function look(name: string): Promise<void> {
  await page.waitForTimeout(300) // pictures have come
  await page.screenshot({ path: join(screenshots, `${name}.png`) })
  expect(await barriersOf(page)).toEqual([])
}
