import { hilbert, hilbertOfficial } from './hilbert.ts'
import { raster } from './permutation.ts'
import { zigzag } from './zigzag.ts'

export interface ScanChoice {
  kind: 'zigzag' | 'raster' | 'bidirectional' | 'hilbert' | 'hilbert-official'
  /** How many different orders the layers take in turn, 1 to 8. */
  count: number
}

/** Which orders a network uses, and which layer takes which. */
export interface ScanPlan {
  orders: Int32Array[]
  /** The passes of a layer: an index into `orders`, and the suffix of that pass's own parameters. */
  directions(layer: number): { order: number; suffix: '' | '_b' }[]
}

/** Layer i takes order i mod count (spec 2.2); a bidirectional layer takes the raster order and its reverse (spec 1.6, "v2"). */
export function scanPlan({ kind, count }: ScanChoice, rows: number, columns: number): ScanPlan {
  const length = rows * columns
  if (kind === 'bidirectional') {
    return {
      orders: [raster(length), raster(length).reverse()],
      directions: () => [
        { order: 0, suffix: '' },
        { order: 1, suffix: '_b' },
      ],
    }
  }
  const order = {
    zigzag: (scheme: number) => zigzag(scheme, rows, columns),
    hilbert: (scheme: number) => hilbert(scheme, rows, columns),
    'hilbert-official': (scheme: number) => hilbertOfficial(scheme, rows, columns),
    raster: () => raster(length),
  }[kind]
  const used = kind === 'raster' ? 1 : count
  return {
    orders: Array.from({ length: used }, (_, scheme) => order(scheme)),
    directions: (layer) => [{ order: layer % used, suffix: '' }],
  }
}
