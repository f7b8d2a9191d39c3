import { describe, expect, test } from 'vitest'
import { gridRows, neighborAt } from '#renderer/composables/grid-rows.ts'

const items = ['a1', 'a2', 'a3', 'b1', 'b2'].map((id) => ({ id }))
const dayOf = ({ id }: { id: string }) => id.charAt(0)
const shape = (rows: ReturnType<typeof gridRows<{ id: string }>>) =>
  rows.map(({ kind, group, items: inside }) => (kind === 'heading' ? `# ${group}` : inside.map(({ id }) => id).join(' ')))

describe('the lines of a grid', () => {
  test('hold as many items as there are columns, the last one the rest', () => {
    expect(shape(gridRows(items, 2, null))).toEqual(['a1 a2', 'a3 b1', 'b2'])
  })
  test('start anew under a heading for each group', () => {
    expect(shape(gridRows(items, 2, dayOf))).toEqual(['# a', 'a1 a2', 'a3', '# b', 'b1 b2'])
  })
  test('of nothing are none', () => {
    expect(gridRows([], 3, null)).toEqual([])
  })
})

describe('arrow keys in a grid', () => {
  const rows = gridRows(items, 2, dayOf)
  const to = (from: string | null, way: 'left' | 'right' | 'up' | 'down') => neighborAt(rows, from, way)?.id

  test('choose the first item when none is selected', () => {
    expect(to(null, 'down')).toBe('a1')
  })
  test('go on from one line to the next, and stop at the ends', () => {
    expect([to('a2', 'right'), to('b1', 'left'), to('a1', 'left'), to('b2', 'right')]).toEqual(['a3', 'a3', 'a1', 'b2'])
  })
  test('keep the column where there is one, else take the last of a shorter line', () => {
    expect([to('a1', 'down'), to('a2', 'down'), to('a3', 'down'), to('b2', 'up')]).toEqual(['a3', 'a3', 'b1', 'a3'])
  })
  test('have nowhere to go in an empty grid', () => {
    expect(neighborAt([], null, 'right')).toBeNull()
  })
})
