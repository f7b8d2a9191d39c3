import type { SourceRoot } from '#contracts/dataset.ts'
import { exists } from '../store/safe-fs.ts'

/** The sources that some files come from, in the order in which they were first imported, and whether each can be reached now. */
export async function sourceRoots(files: readonly { root: string; items: number; copied: boolean }[]): Promise<SourceRoot[]> {
  const roots = new Map<string, Omit<SourceRoot, 'state'>>()
  for (const { root, items, copied } of files) {
    const one = roots.get(root) ?? { root, found: 0, items: 0, copied: 0 }
    one.found++
    one.items += items
    if (copied) one.copied++
    roots.set(root, one)
  }
  return withState([...roots.values()])
}

/** Whether each of some sources can be reached now. */
export function withState(roots: readonly Omit<SourceRoot, 'state'>[]): Promise<SourceRoot[]> {
  return Promise.all(roots.map(async (one) => ({ ...one, state: await rootState(one.root) })))
}

/** "sample" is always there; a path is where it can be looked at. */
export async function rootState(root: string): Promise<SourceRoot['state']> {
  return root === 'sample' || (await exists(root)) ? 'online' : 'offline'
}
