import type { KeyMap } from './keys.ts'

/** What keys ask of a loupe. */
export interface LoupeControl {
  toggle: () => void
  zoom: (by: number) => void
  move: (x: number, y: number) => void
}

const step = 1.5
const share = 0.2

/** Keys of a loupe, while there is one: its pixels and back, larger and smaller, to a side. */
export function loupeKeys(loupe: () => LoupeControl | null): KeyMap {
  return {
    Space: () => loupe()?.toggle(),
    '+': () => loupe()?.zoom(step),
    '=': () => loupe()?.zoom(step),
    '-': () => loupe()?.zoom(1 / step),
    'Shift+ArrowLeft': () => loupe()?.move(-share, 0),
    'Shift+ArrowRight': () => loupe()?.move(share, 0),
    'Shift+ArrowUp': () => loupe()?.move(0, -share),
    'Shift+ArrowDown': () => loupe()?.move(0, share),
  }
}
