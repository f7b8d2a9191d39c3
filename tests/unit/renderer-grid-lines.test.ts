import { describe, expect, test } from 'vitest'
import { gridLines, type GridGroup } from '#renderer/composables/grid-lines.ts'

const shown = (groups: GridGroup[], columns: number) => {
  const lines = gridLines(groups, columns)
  return Array.from({ length: lines.count }, (_, i) => {
    const line = lines.at(i)
    return line.kind === 'heading' ? line.text : `${line.first}-${line.last}`
  })
}
const days: GridGroup[] = [
  { heading: 'Tuesday', count: 5 },
  { heading: 'Monday', count: 1 },
  { heading: 'Sunday', count: 4 },
]

describe('the lines of a grid', () => {
  test('are full but for the last where there are no headings', () => {
    expect(shown([{ heading: null, count: 7 }], 3)).toEqual(['0-2', '3-5', '6-6'])
    expect(shown([{ heading: null, count: 0 }], 3)).toEqual([])
    expect(shown([], 3)).toEqual([])
  })

  test('begin anew under each heading', () => {
    expect(shown(days, 2)).toEqual(['Tuesday', '0-1', '2-3', '4-4', 'Monday', '5-5', 'Sunday', '6-7', '8-9'])
  })

  test('are found by the places that they hold', () => {
    const lines = gridLines(days, 2)
    expect([0, 1, 2, 4, 5, 6, 9].map((place) => lines.lineOf(place))).toEqual([1, 1, 2, 3, 5, 7, 8])
  })

  test('are stepped over in their column, past headings, and end at both ends', () => {
    const lines = gridLines(days, 2)
    expect(lines.moved(3, 1)).toBe(4) // a shorter line: its last place
    expect(lines.moved(2, 2)).toBe(5)
    expect(lines.moved(5, 1)).toBe(6)
    expect(lines.moved(9, -1)).toBe(7)
    expect(lines.moved(0, -1)).toBe(0)
    expect(lines.moved(8, 1)).toBe(9)
    expect(lines.moved(0, 3)).toBe(5)
    expect(gridLines([], 2).moved(0, 1)).toBe(0)
  })

  test('of a hundred thousand pictures are worked out without going through them', () => {
    const lines = gridLines([{ heading: 'Today', count: 100_000 }], 8)
    expect(lines.count).toBe(12_501)
    expect(lines.at(12_500)).toEqual({ kind: 'tiles', first: 99_992, last: 99_999, heading: 'Today' })
  })
})
