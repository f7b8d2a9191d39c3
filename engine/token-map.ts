import type { ModelSpec, ScanSpec } from '#contracts/recipe.ts'
import { clipPlan, type ClipPlan, type TimeScan } from './scan/clip-plan.ts'
import { scanPlan } from './scan/scan-plan.ts'

/** How a network cuts its image into tokens, and in which order each of its layers reads them. */
export interface TokenMap {
  rows: number
  columns: number
  /** permutation[position] = token, token = row * columns + column. */
  orders: { kind: ScanSpec['kind']; number: number; permutation: Int32Array }[]
  /** The passes of each layer, as indices into `orders`. */
  layers: { order: number }[][]
}

/** The plan by which the network itself gathers its tokens, not a copy of it. */
export function tokenMapOf({ height, width, patchSize, depth, scan }: ModelSpec): TokenMap {
  const [rows, columns] = [height / patchSize, width / patchSize]
  const plan = scanPlan(scan, rows, columns)
  return {
    rows,
    columns,
    orders: plan.orders.map((permutation, number) => ({ kind: scan.kind, number, permutation })),
    layers: Array.from({ length: depth }, (_, layer) => plan.directions(layer).map(({ order }) => ({ order }))),
  }
}

/** How the same network would read a clip, its layers shared out between space and time: the plan of a network for videos (spec 2.5). */
export function clipTokenMapOf({ height, width, patchSize, depth, scan }: ModelSpec, frames: number, time: TimeScan): ClipPlan {
  return clipPlan(time, scan, depth, { frames, rows: height / patchSize, columns: width / patchSize })
}
