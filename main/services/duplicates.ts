import { findAlike, join } from '../media/near-duplicates.ts'
import type { DatasetIndex } from '../store/dataset-index.ts'
import type { AlikeStore } from '../store/alike-store.ts'

/**
 * Groups items that are the same picture: those that decode to the same pixels, and those that look the same. Groups grow together: when A is like
 * B and B like C, all three are one group.
 */
export async function findDuplicates(index: DatasetIndex, alike: AlikeStore): Promise<void> {
  const rows = await index.fresh(() => alike.looks())
  const { nearest, group } = await findAlike(rows.map(({ looks }) => looks))
  const first = new Map<string, number>()
  const twins = new Set<number>()
  for (const [i, { pixelHash }] of rows.entries()) {
    const one = first.get(pixelHash)
    if (one === undefined) first.set(pixelHash, i)
    else {
      join(group, one, i)
      twins.add(one).add(i)
    }
  }
  const groups = group.map((_, i) => rootOf(group, i))
  const sizes = new Map<number, number>()
  for (const one of groups) sizes.set(one, (sizes.get(one) ?? 0) + 1)
  const found = rows.flatMap(({ row }, i) => {
    const inGroup = sizes.get(groups[i]!)! > 1
    if (!inGroup && nearest[i]! < 0) return []
    const duplicate = twins.has(i) ? 'exact' : inGroup ? 'near' : 'none'
    return [{ row, nearest: nearest[i]! < 0 ? null : nearest[i]!, duplicate, group: inGroup ? rows[groups[i]!]!.row : null } as const]
  })
  await index.fresh(() => alike.setAlike(found))
}

function rootOf(group: Int32Array, i: number): number {
  let at = i
  while (group[at] !== at) at = group[at]!
  return at
}
