import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hilbert, hilbertOfficial } from '#engine/scan/hilbert.ts'
import { inversePermutation } from '#engine/scan/permutation.ts'
import { scanPlan } from '#engine/scan/scan-plan.ts'
import { zigzag } from '#engine/scan/zigzag.ts'
import { goldenFolder, whyNoGoldens } from '../support/goldens.ts'

const grids = fc.tuple(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 1, max: 24 }))
const schemes = fc.integer({ min: 0, max: 7 })
const numbers = (text: string) => text.split(' ').map(Number)

/** Steps between neighbors in the order, as city-block distances on the grid. */
function stepLengths(order: Int32Array, columns: number): number[] {
  const at = (token: number) => [Math.floor(token / columns), token % columns] as const
  return [...order].slice(1).map((token, i) => {
    const [r, c] = at(token)
    const [r0, c0] = at(order[i]!)
    return Math.abs(r - r0) + Math.abs(c - c0)
  })
}

describe('the eight zigzags', () => {
  const fourByFour = [
    '0 1 2 3 7 6 5 4 8 9 10 11 15 14 13 12',
    '0 4 8 12 13 9 5 1 2 6 10 14 15 11 7 3',
    '3 2 1 0 4 5 6 7 11 10 9 8 12 13 14 15',
    '3 7 11 15 14 10 6 2 1 5 9 13 12 8 4 0',
    '12 13 14 15 11 10 9 8 4 5 6 7 3 2 1 0',
    '12 8 4 0 1 5 9 13 14 10 6 2 3 7 11 15',
    '15 14 13 12 8 9 10 11 7 6 5 4 0 1 2 3',
    '15 11 7 3 2 6 10 14 13 9 5 1 0 4 8 12',
  ]
  test.each(fourByFour.map((order, scheme) => [scheme, order] as const))(
    'scheme %i on four by four tokens is the published order',
    (scheme, order) => {
      expect([...zigzag(scheme, 4, 4)]).toEqual(numbers(order))
    },
  )

  test('visit every token of any rectangle once, always stepping to a neighbor', () => {
    fc.assert(
      fc.property(grids, schemes, ([rows, columns], scheme) => {
        const order = zigzag(scheme, rows, columns)
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: rows * columns }, (_, i) => i))
        expect(stepLengths(order, columns).every((n) => n === 1)).toBe(true)
      }),
    )
  })

  test('on grids of even height schemes 4 and 6 undo each other, and 0 and 2 themselves', () => {
    for (const n of [4, 16, 32]) {
      expect(inversePermutation(zigzag(4, n, n))).toEqual(zigzag(6, n, n))
      expect(inversePermutation(zigzag(0, n, n))).toEqual(zigzag(0, n, n))
      expect(inversePermutation(zigzag(2, n, n))).toEqual(zigzag(2, n, n))
    }
  })
})

describe('hilbert scans', () => {
  test('on four by four tokens the path is 0 4 5 1 2 3 7 6 10 11 15 14 13 9 8 12', () => {
    expect([...hilbert(0, 4, 4)]).toEqual(numbers('0 4 5 1 2 3 7 6 10 11 15 14 13 9 8 12'))
  })

  test('the official order holds the ranks of the path: the one undoes the other', () => {
    expect([...hilbertOfficial(0, 4, 4)]).toEqual(numbers('0 3 4 5 1 2 7 6 14 13 8 9 15 12 11 10'))
    fc.assert(
      fc.property(grids, schemes, ([rows, columns], scheme) => {
        expect(inversePermutation(hilbert(scheme, rows, columns))).toEqual(hilbertOfficial(scheme, rows, columns))
      }),
    )
  })

  test('step to a neighbor on grids of even sides', () => {
    for (const [rows, columns] of [
      [4, 4],
      [8, 16],
      [6, 10],
      [32, 32],
    ] as const) {
      for (let scheme = 0; scheme < 8; scheme++) {
        expect(stepLengths(hilbert(scheme, rows, columns), columns).every((n) => n === 1)).toBe(true)
      }
    }
  })
})

describe('a scan plan', () => {
  test('gives layer i the order i mod count', () => {
    const plan = scanPlan({ kind: 'zigzag', count: 8 }, 4, 4)
    expect(plan.orders[plan.directions(11)[0]!.order]).toEqual(zigzag(3, 4, 4))
  })

  test('runs a bidirectional layer both ways, the way back with parameters of its own', () => {
    const plan = scanPlan({ kind: 'bidirectional', count: 8 }, 1, 3)
    expect(plan.directions(0).map(({ order, suffix }) => [[...plan.orders[order]!], suffix])).toEqual([
      [[0, 1, 2], ''],
      [[2, 1, 0], '_b'],
    ])
  })
})

describe.skipIf(!goldenFolder)(`orders read off the official network${whyNoGoldens}`, () => {
  test('equal ours, zigzag and hilbert, forward and back', () => {
    const file = join(goldenFolder!, 'permutations.json')
    expect(existsSync(file)).toBe(true)
    const golden = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, number[][]>>
    for (const [side, orders] of Object.entries(golden)) {
      for (let scheme = 0; scheme < 8; scheme++) {
        const n = Number(side)
        expect([...zigzag(scheme, n, n)]).toEqual(orders.zigzag![scheme])
        expect([...inversePermutation(zigzag(scheme, n, n))]).toEqual(orders.zigzag_reverse![scheme])
        expect([...hilbertOfficial(scheme, n, n)]).toEqual(orders.hilbert![scheme])
        expect([...hilbert(scheme, n, n)]).toEqual(orders.hilbert_reverse![scheme])
      }
    }
  })
})
