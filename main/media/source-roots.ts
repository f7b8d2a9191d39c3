import type { SourceRoot } from '#contracts/dataset.ts'
import { exists } from '../store/safe-fs.ts'
import { isStagedPath } from '../store/staged-drops.ts'

type Counted = Pick<SourceRoot, 'root' | 'found' | 'items' | 'copied'>

/** The sources that some files come from, in the order in which they were first imported, and whether each can be reached now. */
export async function sourceRoots(files: readonly { root: string; items: number; copied: boolean }[]): Promise<SourceRoot[]> {
  const roots = new Map<string, Counted>()
  for (const { root, items, copied } of files) {
    const one = roots.get(root) ?? { root, found: 0, items: 0, copied: 0 }
    one.found++
    one.items += items
    if (copied) one.copied++
    roots.set(root, one)
  }
  return withState([...roots.values()])
}

/** Whether each of some sources can be reached now. @param places where those lie that are not where they were. */
export function withState(roots: readonly Counted[], places: ReadonlyMap<string, string> = new Map()): Promise<SourceRoot[]> {
  return Promise.all(
    roots.map(async (one) => {
      const place = places.get(one.root) ?? null
      return { ...one, place, isDropped: isStagedPath(one.root), state: await rootState(place ?? one.root) }
    }),
  )
}

/** "sample" is always there; a path is where it can be looked at. */
async function rootState(root: string): Promise<SourceRoot['state']> {
  return root === 'sample' || (await exists(root)) ? 'online' : 'offline'
}
