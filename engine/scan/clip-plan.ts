import { raster } from './permutation.ts'
import { scanPlan, type ScanChoice } from './scan-plan.ts'
import { zigzag } from './zigzag.ts'

/** Tokens of a clip, frame by frame: token = frame * rows * columns + row * columns + column. */
export interface ClipGrid {
  frames: number
  rows: number
  columns: number
}

/**
 * How layers share space and time (spec 2.5). Letters are repeated to the network's depth: an s layer scans each frame by itself, a t layer scans
 * each place through time. The 3D orders run over all tokens at once.
 */
export type TimeScan = 'sst' | 'st' | 'sstt' | 'zigzag-3d' | 'sweep-3d'

/** What one sequence of an order is: the tokens of a frame, the frames at a place, or all tokens of the clip. */
export type ScanSpan = 'frame' | 'time' | 'clip'

export interface ClipOrder {
  span: ScanSpan
  /** Which one of its span, from 0. */
  number: number
  permutation: Int32Array
}

export interface ClipPlan {
  orders: ClipOrder[]
  /** For each layer its passes, as indices into `orders`. */
  layers: { order: number }[][]
}

/** Number of different zigzags over a clip. */
export const zigzag3dCount = 8

/**
 * Zigzag number `scheme` (0..7) over a clip: permutation[position] = token. Time is the slowest axis, backward from scheme 4 on; each frame is
 * read by spatial zigzag scheme mod 4, and every second one from its end, so that each step goes to a neighbor in space or in time (spec 2.5).
 */
export function zigzag3d(scheme: number, { frames, rows, columns }: ClipGrid): Int32Array {
  const forward = zigzag(scheme % 4, rows, columns)
  const backward = forward.toReversed()
  const permutation = new Int32Array(frames * forward.length)
  for (let i = 0; i < frames; i++) {
    const frame = scheme < 4 ? i : frames - 1 - i
    const path = i % 2 === 0 ? forward : backward
    path.forEach((token, j) => (permutation[i * path.length + j] = frame * path.length + token))
  }
  return permutation
}

/** The orders of a network of so many layers over a clip, and which layer takes which. Only s layers count on through the spatial orders. */
export function clipPlan(time: TimeScan, scan: ScanChoice, depth: number, grid: ClipGrid): ClipPlan {
  const { frames, rows, columns } = grid
  const length = frames * rows * columns
  const layers = (passesOf: (layer: number) => { order: number }[]) => Array.from({ length: depth }, (_, layer) => passesOf(layer))
  if (time === 'sweep-3d') {
    const orders = [raster(length), raster(length).reverse()]
    return {
      orders: orders.map((permutation, number) => ({ span: 'clip', number, permutation })),
      layers: layers(() => [{ order: 0 }, { order: 1 }]),
    }
  }
  if (time === 'zigzag-3d') {
    const orders = Array.from({ length: zigzag3dCount }, (_, number) => ({
      span: 'clip' as const,
      number,
      permutation: zigzag3d(number, grid),
    }))
    return { orders, layers: layers((layer) => [{ order: layer % zigzag3dCount }]) }
  }
  const space = scanPlan(scan, rows, columns)
  const [inSpace, inTime] = [space.orders.length, [raster(frames), raster(frames).reverse()]]
  let [spatial, temporal] = [0, 0]
  return {
    orders: [
      ...space.orders.map((permutation, number) => ({ span: 'frame' as const, number, permutation })),
      ...inTime.map((permutation, number) => ({ span: 'time' as const, number, permutation })),
    ],
    layers: layers((layer) =>
      time[layer % time.length] === 's'
        ? space.directions(spatial++).map(({ order }) => ({ order }))
        : [{ order: inSpace + (temporal++ % 2) }],
    ),
  }
}
