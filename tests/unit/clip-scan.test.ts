import { describe, expect, test } from 'vitest'
import { clipPlan, zigzag3d, zigzag3dCount, type ClipGrid } from '#engine/scan/clip-plan.ts'
import { zigzag } from '#engine/scan/zigzag.ts'

const schemes = Array.from({ length: zigzag3dCount }, (_, i) => i)
const grids: ClipGrid[] = [
  { frames: 1, rows: 2, columns: 3 },
  { frames: 2, rows: 2, columns: 2 },
  { frames: 5, rows: 3, columns: 4 },
  { frames: 4, rows: 1, columns: 5 },
  { frames: 16, rows: 8, columns: 8 },
]
const placeOf = (token: number, { rows, columns }: ClipGrid) => {
  const inFrame = token % (rows * columns)
  return [Math.floor(token / (rows * columns)), Math.floor(inFrame / columns), inFrame % columns]
}
const zigzags = { kind: 'zigzag', count: 8 } as const

describe.for(grids)('over $frames frames of $rows x $columns', (grid) => {
  test.for(schemes)('3D zigzag %i meets every token once and steps to a neighbor in space or in time', (scheme) => {
    const order = zigzag3d(scheme, grid)
    expect([...order].sort((a, b) => a - b)).toEqual([...order.keys()])
    for (let i = 1; i < order.length; i++) {
      const [a, b] = [placeOf(order[i - 1]!, grid), placeOf(order[i]!, grid)]
      expect(a.reduce((sum, value, axis) => sum + Math.abs(value - b[axis]!), 0)).toBe(1)
    }
  })
})

test('the 3D zigzag of two frames of 2 x 2 goes round the first, into the second at the same place, and back', () => {
  expect([...zigzag3d(0, { frames: 2, rows: 2, columns: 2 })]).toEqual([0, 1, 3, 2, 6, 7, 5, 4])
  expect([...zigzag3d(1, { frames: 2, rows: 2, columns: 2 })]).toEqual([0, 2, 3, 1, 5, 7, 6, 4])
  expect([...zigzag3d(2, { frames: 2, rows: 2, columns: 2 })]).toEqual([1, 0, 2, 3, 7, 6, 4, 5])
  expect([...zigzag3d(4, { frames: 2, rows: 2, columns: 2 })]).toEqual([4, 5, 7, 6, 2, 3, 1, 0])
})

test('the eight 3D zigzags differ', () => {
  const orders = schemes.map((scheme) => zigzag3d(scheme, { frames: 3, rows: 3, columns: 3 }).join())
  expect(new Set(orders).size).toBe(8)
})

describe('a network with layers for space and for time', () => {
  const grid = { frames: 4, rows: 3, columns: 3 }
  const spans = (time: 'sst' | 'st' | 'sstt', depth: number) => {
    const plan = clipPlan(time, zigzags, depth, grid)
    return plan.layers.map(([pass]) => plan.orders[pass!.order]!)
  }

  test('"sst" at depth 24 has 16 layers for space and 8 for time', () => {
    const layers = spans('sst', 24)
    expect(layers.map(({ span }) => (span === 'frame' ? 's' : 't')).join('')).toBe('sst'.repeat(8))
  })

  test('layers for space go on through the eight zigzags and do not count those for time', () => {
    const numbers = spans('sst', 15).filter(({ span }) => span === 'frame')
    expect(numbers.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
    for (const { number, permutation } of numbers) expect(permutation).toEqual(zigzag(number, 3, 3))
  })

  test('layers for time read forward and backward in turn', () => {
    const time = spans('sstt', 8).filter(({ span }) => span === 'time')
    expect(time.map(({ permutation }) => [...permutation])).toEqual([
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [0, 1, 2, 3],
      [3, 2, 1, 0],
    ])
    expect(spans('st', 4).map(({ span }) => span)).toEqual(['frame', 'time', 'frame', 'time'])
  })

  test('a 3D sweep reads all tokens both ways in each layer, and 3D zigzags take turns', () => {
    const sweep = clipPlan('sweep-3d', zigzags, 3, grid)
    expect(sweep.layers).toEqual(Array.from({ length: 3 }, () => [{ order: 0 }, { order: 1 }]))
    expect([...sweep.orders[1]!.permutation]).toEqual(Array.from({ length: 36 }, (_, i) => 35 - i))
    expect(clipPlan('zigzag-3d', zigzags, 10, grid).layers.map(([pass]) => pass!.order)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
  })
})
