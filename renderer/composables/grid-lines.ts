/** A stretch of a list, under a heading where it has one. */
export interface GridGroup {
  heading: string | null
  count: number
}

/** A line of a grid: a heading, or the places `first` to `last` of the list. */
export type GridLine = { kind: 'heading'; text: string } | { kind: 'tiles'; first: number; last: number; heading: string | null }

export interface GridLines {
  /** Of all lines, headings too. */
  count: number
  at(line: number): GridLine
  lineOf(place: number): number
  /** The place in the same column so many lines of tiles further down, or up; headings do not count. */
  moved(place: number, by: number): number
}

/** How a list lies in lines of `columns`, without going through it: every group begins a line of its own, under its heading. */
export function gridLines(groups: readonly GridGroup[], columns: number): GridLines {
  let [line, place, tiles] = [0, 0, 0]
  const starts = groups.map(({ heading, count }) => {
    const start = { heading, count, line, place, tiles }
    const own = Math.ceil(count / columns)
    line += own + (heading === null ? 0 : 1)
    place += count
    tiles += own
    return start
  })
  const [total, tileLines] = [place, tiles]
  /** The last group that begins at or before a number. */
  const groupAt = (number: number, by: 'line' | 'place' | 'tiles') => {
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (starts[middle]![by] <= number) low = middle
      else high = middle - 1
    }
    return starts[low]!
  }
  const headed = (group: { heading: string | null }) => (group.heading === null ? 0 : 1)

  return {
    count: line,
    at(index) {
      const group = groupAt(index, 'line')
      const own = index - group.line - headed(group)
      if (own < 0) return { kind: 'heading', text: group.heading! }
      const first = group.place + own * columns
      return { kind: 'tiles', first, last: Math.min(first + columns, group.place + group.count) - 1, heading: group.heading }
    },
    lineOf(at) {
      const group = groupAt(at, 'place')
      return group.line + headed(group) + Math.floor((at - group.place) / columns)
    },
    moved(at, by) {
      if (total === 0) return 0
      const from = groupAt(at, 'place')
      const column = (at - from.place) % columns
      const target = from.tiles + Math.floor((at - from.place) / columns) + by
      if (target < 0) return 0
      if (target >= tileLines) return total - 1
      const to = groupAt(target, 'tiles')
      return Math.min(to.place + (target - to.tiles) * columns + column, to.place + to.count - 1)
    },
  }
}
