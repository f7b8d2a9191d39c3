import type { ScanOrder, Xray } from '#contracts/xray.ts'
import { scanPathOf, type ScanPath } from './scan-path.ts'

/** A token of a clip: which frame it lies in, and which patch of that frame it is. */
export interface Spot {
  frame: number
  token: number
}

/** A layer's order over a clip, or over a picture as its only frame. */
export interface ClipPath {
  span: ScanOrder['span']
  path: ScanPath
  /** Of a frame: its part of the path and how many positions come before it; null for an order through time. */
  inFrame(frame: number): { path: ScanPath; before: number } | null
  /** Where one sequence of the layer is at a position, from 0, as seen from a spot. */
  spotAt(position: number, from: Spot): Spot
  positionOf(spot: Spot): number
}

/** Reads an order with what it means for frames. Tokens of a clip lie frame by frame. */
export function clipPathOf(order: ScanOrder, { grid, clip }: Pick<Xray, 'grid' | 'clip'>): ClipPath {
  const { span } = order
  const tokens = grid.rows * grid.columns
  const frames = clip?.frames.length ?? 1
  if (span === 'frame') {
    const path = scanPathOf(order, grid)
    return {
      ...{ span, path, inFrame: () => ({ path, before: 0 }) },
      spotAt: (position, { frame }) => ({ frame, token: path.tokenAt[position]! }),
      positionOf: ({ token }) => path.positionOf[token]!,
    }
  }
  if (span === 'time') {
    const path = scanPathOf(order, { rows: 1, columns: frames })
    return {
      ...{ span, path, inFrame: () => null },
      spotAt: (position, { token }) => ({ frame: path.tokenAt[position]!, token }),
      positionOf: ({ frame }) => path.positionOf[frame]!,
    }
  }
  // One frame below the other: a step to the same patch of the next frame is none to a neighbor there, and is told apart in `jumps` below.
  const whole = scanPathOf(order, { rows: frames * grid.rows, columns: grid.columns })
  const parts = new Map<number, { path: ScanPath; before: number }>()
  return {
    span,
    path: { ...whole, jumps: jumpsOf(whole.tokenAt, grid) },
    inFrame: (frame) => {
      const before = whole.tokenAt.findIndex((token) => Math.floor(token / tokens) === frame)
      const part = parts.get(frame) ?? { path: partOf(whole.tokenAt, frame, grid), before }
      parts.set(frame, part)
      return part
    },
    spotAt: (position) => ({ frame: Math.floor(whole.tokenAt[position]! / tokens), token: whole.tokenAt[position]! % tokens }),
    positionOf: ({ frame, token }) => whole.positionOf[frame * tokens + token]!,
  }
}

/** The steps inside one frame, which all come one behind the other. */
function partOf(tokenAt: Int32Array, frame: number, grid: Xray['grid']): ScanPath {
  const tokens = grid.rows * grid.columns
  const inside = tokenAt.filter((token) => Math.floor(token / tokens) === frame).map((token) => token - frame * tokens)
  const positionOf = new Int32Array(tokens)
  inside.forEach((token, position) => (positionOf[token] = position))
  return { tokenAt: inside, positionOf, jumps: 0, start: { bottom: false, right: false }, heading: null }
}

/** Steps to a token that is a neighbor neither in its frame nor at the same place of the next or the last. */
function jumpsOf(tokenAt: Int32Array, { rows, columns }: Xray['grid']): number {
  const place = (token: number) => [Math.floor(token / (rows * columns)), Math.floor(token / columns) % rows, token % columns] as const
  let jumps = 0
  for (let i = 1; i < tokenAt.length; i++) {
    const [a, b] = [place(tokenAt[i - 1]!), place(tokenAt[i]!)]
    if (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2]) !== 1) jumps++
  }
  return jumps
}
