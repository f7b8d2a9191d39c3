import { availableParallelism, loadavg } from 'node:os'
import type { Page } from 'playwright-core'
import { StudioError } from '#contracts/errors.ts'
import { compose, type Studio } from '#main/compose.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A second on a machine that has nothing else to do, and longer by as much as it has. */
export const aSecond = () => 1000 * Math.max(1, loadavg()[0]! / availableParallelism())

/** Opens a project once, so that it has its index, as one has that was made here. */
export async function indexed(project: string, ask: (studio: Studio) => Promise<unknown>): Promise<void> {
  const home = temporaryFolder()
  const first = await compose({
    host: 'cli',
    settingsFolder: `${home}/settings`,
    projectsFolder: `${home}/projects`,
    launchEngine: () => {
      throw new StudioError('native-missing', 'There is no engine in this test.')
    },
  })
  const started = performance.now()
  await first.openFolder(project)
  await ask(first)
  console.log(`index made in ${Math.round(performance.now() - started)} ms`)
  await first.close()
}

/** Milliseconds from opening a stage by its address, or from scrolling to its end, until every tile in sight has painted its picture. */
export const untilPainted = (page: Page, act: { open: string } | 'end') =>
  page.evaluate(async (what) => {
    const started = performance.now()
    if (what === 'end') document.querySelector('[role=listbox]')!.scrollTop = Number.MAX_SAFE_INTEGER
    else location.hash = what.open
    for (;;) {
      await new Promise(requestAnimationFrame)
      const box = document.querySelector('[role=listbox]')
      const inSight = box ? [...box.querySelectorAll('.tile')].filter((one) => sees(box, one)) : []
      const isPainted = (one: Element) => {
        const image = one.querySelector('img')
        return image !== null && image.complete && image.naturalWidth > 0
      }
      if (inSight.length > 10 && inSight.every(isPainted)) break
      if (performance.now() - started > 20_000) break
    }
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))) // it is on the screen
    return performance.now() - started

    function sees(box: Element, one: Element): boolean {
      const [outer, inner] = [box.getBoundingClientRect(), one.getBoundingClientRect()]
      return inner.bottom > outer.top && inner.top < outer.bottom
    }
  }, act)

/** Scrolls from where the grid is, by hand at first, then by the scroll bar. `edge` is the height of a row, in pixels. */
export const scrolled = (page: Page, edge: number) =>
  page.evaluate(async (height) => {
    const box = document.querySelector('[role=listbox]')!
    const deltas: number[] = []
    let blankFrames = 0
    let before = performance.now()
    for (let frame = 0; frame < 240; frame++) {
      box.scrollTop += frame < 180 ? 60 : 20_000
      await new Promise(requestAnimationFrame)
      const now = performance.now()
      deltas.push(now - before)
      before = now
      const { top, bottom } = box.getBoundingClientRect()
      const lines = [...box.querySelectorAll('.line')].map((line) => line.getBoundingClientRect())
      const covered = lines.filter((line) => line.bottom > top && line.top < bottom).reduce((sum, line) => sum + line.height + 4, 0)
      if (frame < 180 && covered < bottom - top - height) blankFrames++
    }
    return { frames: deltas.length, longest: Math.max(...deltas), late: deltas.filter((ms) => ms > 50).length, blankFrames }
  }, edge)
