import type { ScanOrder } from '#contracts/xray.ts'

export interface Grid {
  rows: number
  columns: number
}
export type Side = 'left' | 'right' | 'up' | 'down'

/** An order over the tokens of a grid, both ways: which token comes at a position, and at which position a token comes. */
export interface ScanPath {
  tokenAt: Int32Array
  positionOf: Int32Array
  /** Steps to a token that is not a neighbor. */
  jumps: number
  start: { bottom: boolean; right: boolean }
  /** Where the first step leads; null for a single token or a jump. */
  heading: Side | null
}

/** Reads an order as it came over the wire. */
export function scanPathOf({ permutation }: ScanOrder, grid: Grid): ScanPath {
  const tokenAt = decodeOrder(permutation)
  const positionOf = new Int32Array(tokenAt.length)
  tokenAt.forEach((token, position) => (positionOf[token] = position))
  const first = tokenAt[0] ?? 0
  let jumps = 0
  for (let i = 1; i < tokenAt.length; i++) if (stepSide(tokenAt[i - 1]!, tokenAt[i]!, grid) === null) jumps++
  return {
    tokenAt,
    positionOf,
    jumps,
    start: { bottom: Math.floor(first / grid.columns) * 2 >= grid.rows, right: (first % grid.columns) * 2 >= grid.columns },
    heading: tokenAt.length > 1 ? stepSide(first, tokenAt[1]!, grid) : null,
  }
}

/** The side on which a token's neighbor lies; null when it is no neighbor. */
export function stepSide(from: number, to: number, { columns }: Grid): Side | null {
  const [down, right] = [Math.floor(to / columns) - Math.floor(from / columns), (to % columns) - (from % columns)]
  if (Math.abs(down) + Math.abs(right) !== 1) return null
  if (down !== 0) return down > 0 ? 'down' : 'up'
  return right > 0 ? 'right' : 'left'
}

/** The token next to another on one side; itself at the edge of the grid. */
export function neighborToken(token: number, to: Side, { rows, columns }: Grid): number {
  const [row, column] = [Math.floor(token / columns), token % columns]
  if (to === 'left') return column > 0 ? token - 1 : token
  if (to === 'right') return column < columns - 1 ? token + 1 : token
  if (to === 'up') return row > 0 ? token - columns : token
  return row < rows - 1 ? token + columns : token
}

function decodeOrder(base64: string): Int32Array {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  const view = new DataView(bytes.buffer)
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(i * 4, true))
}
