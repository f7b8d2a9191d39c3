import { screen, type Rectangle } from 'electron'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { SafeFs } from '../store/safe-fs.ts'

export const smallest = { width: 1280, height: 800 }
const usual = { width: 1600, height: 1000 }

const windowState = z.object({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(smallest.width),
  height: z.number().int().min(smallest.height),
  maximized: z.boolean(),
})
export type WindowState = z.infer<typeof windowState>

/** Where the window was last, if that is still on a screen; else null, and the system places it. */
export async function readWindowState(folder: string): Promise<WindowState | null> {
  const text = await readFile(stateFile(folder), 'utf8').catch(() => null)
  if (text === null) return null
  try {
    const state = windowState.parse(JSON.parse(text))
    return isVisible(state) ? state : null
  } catch {
    return null // a broken file costs a window's place and nothing more
  }
}

export async function writeWindowState(fs: SafeFs, folder: string, state: WindowState): Promise<void> {
  await fs.folder(folder)
  await fs.writeFile(stateFile(folder), `${JSON.stringify(state)}\n`)
}

/** Size and place for a new window. */
export function windowBounds(state: WindowState | null): Partial<Rectangle> {
  return state ? { x: state.x, y: state.y, width: state.width, height: state.height } : usual
}

/** Enough of the title bar on some screen to take hold of. */
function isVisible({ x, y, width }: WindowState): boolean {
  const grip = 100
  return screen
    .getAllDisplays()
    .some(({ workArea: a }) => x + width - grip > a.x && x + grip < a.x + a.width && y >= a.y - grip / 4 && y + grip / 2 < a.y + a.height)
}

function stateFile(folder: string): string {
  return join(folder, 'window.json')
}
