/** A line of a grid: a heading, or up to `columns` items of one group. */
export interface GridRow<T> {
  kind: 'heading' | 'tiles'
  group: string | null
  items: readonly T[]
}

/** Items in the order given, in lines of `columns`; a new group starts a line of its own under its heading. */
export function gridRows<T>(items: readonly T[], columns: number, groupOf: ((item: T) => string) | null): GridRow<T>[] {
  const rows: GridRow<T>[] = []
  let line: T[] = []
  let current: string | null = null
  for (const item of items) {
    const group = groupOf?.(item) ?? null
    if (group !== current) {
      rows.push({ kind: 'heading', group, items: [] })
      current = group
      line = []
    }
    if (line.length % columns === 0) {
      line = []
      rows.push({ kind: 'tiles', group, items: line })
    }
    line.push(item)
  }
  return rows
}

/** Where an arrow key leads: left and right through all items, up and down to the same column, headings skipped; the first item when none is selected. */
export function neighborAt<T extends { id: string }>(
  rows: readonly GridRow<T>[],
  selected: string | null,
  to: 'left' | 'right' | 'up' | 'down',
): { id: string; row: number } | null {
  const places = rows.flatMap(({ items }, row) => items.map(({ id }, column) => ({ id, row, column })))
  const at = places.findIndex(({ id }) => id === selected)
  const here = places[at]
  if (!here) return places[0] ?? null
  if (to === 'left' || to === 'right') return places[at + (to === 'left' ? -1 : 1)] ?? here
  const lines = rows.flatMap(({ kind }, row) => (kind === 'tiles' ? [row] : []))
  const target = lines[lines.indexOf(here.row) + (to === 'up' ? -1 : 1)]
  if (target === undefined) return here
  return places.findLast(({ row, column }) => row === target && column <= here.column) ?? here
}
