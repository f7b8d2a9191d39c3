/** Which of many items are meant: some by id, or all that a query finds but a few. All of them never have to be loaded. */
export type Selection = { kind: 'ids'; ids: ReadonlySet<string> } | { kind: 'all'; except: ReadonlySet<string> }

export const nothing: Selection = { kind: 'ids', ids: new Set() }
export const everything: Selection = { kind: 'all', except: new Set() }

export function only(...ids: string[]): Selection {
  return { kind: 'ids', ids: new Set(ids) }
}

export function isSelected(selection: Selection, id: string): boolean {
  return selection.kind === 'ids' ? selection.ids.has(id) : !selection.except.has(id)
}

export function toggled(selection: Selection, id: string): Selection {
  const flipped = (ids: ReadonlySet<string>) => new Set(ids.has(id) ? [...ids].filter((one) => one !== id) : [...ids, id])
  return selection.kind === 'ids' ? { kind: 'ids', ids: flipped(selection.ids) } : { kind: 'all', except: flipped(selection.except) }
}

/** How many of `total` items are selected. */
export function countSelected(selection: Selection, total: number): number {
  return selection.kind === 'ids' ? selection.ids.size : Math.max(0, total - selection.except.size)
}
