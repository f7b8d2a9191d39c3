import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Browser, type Page } from 'playwright-core'
import { findBrowser } from '#scripts/find-program.ts'

const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The Chromium of this machine, without a window. */
export function openBrowser(): Promise<Browser> {
  const executablePath = findBrowser()
  if (!executablePath) throw new Error('There is no Chromium: install it (Debian: apt-get install chromium).')
  return chromium.launch({ executablePath, args: quiet })
}

/** A window as the tests look at it, dark and English. Nothing is in motion unless `moves`. `complaints` is what it complains about from now on. */
export async function openPage(browser: Browser, { moves = false, limitMs = 10_000 } = {}): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: 'dark',
    locale: 'en-US',
    reducedMotion: moves ? 'no-preference' : 'reduce',
  })
  const page = await context.newPage()
  page.setDefaultTimeout(limitMs)
  return { page, complaints: listenForComplaints(page) }
}

/** Everything a page complained about: its console's errors, those of its content policy among them, and what it threw. */
function listenForComplaints(page: Page): string[] {
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  return complaints
}

/** What stands between people and the page, as "rule: element" of each serious or critical finding. */
export async function barriersOf(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`))
}

/** Opens one of the window's menus and takes an entry of it, both named in the window's language. */
export async function choose(page: Page, menu: string, entry: string): Promise<void> {
  await page.getByRole('button', { name: menu }).click()
  await page.getByRole('menuitem', { name: entry }).click()
}

const settleMs = 500

/** Keeps what is on the screen, once pictures and charts have come, as a picture named for the theme of the moment; what stands between people and it. */
export async function barriersOnScreen(page: Page, folder: string, name: string): Promise<string[]> {
  await page.waitForTimeout(settleMs)
  const theme = await page.evaluate(() => document.documentElement.dataset['theme'])
  await page.screenshot({ path: join(folder, `${name}-${theme}.png`) })
  return barriersOf(page)
}
