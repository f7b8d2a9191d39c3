import { tidy } from './caption.ts'
import type { FileTree } from './file-tree.ts'
import { pictureFiles } from './picture-files.ts'
import type { SourceItem } from './source-item.ts'
import { splitOf } from './split-name.ts'

const repeatsLimit = 10_000

/** "30_red cat" -> 30 repeats of "red cat"; null for a folder of another name. */
export function repeatsOf(folder: string): { repeats: number; concept: string } | null {
  const [, digits, words] = /^(\d{1,6})_(.+)$/s.exec(folder) ?? []
  const repeats = Number(digits)
  const concept = tidy((words ?? '').replaceAll('_', ' '), 500)
  return repeats >= 1 && repeats <= repeatsLimit && concept !== '' ? { repeats, concept } : null
}

/** kohya's folders: "30_cat/a.png" is shown 30 times an epoch, and its caption is "cat" where it has none of its own; "train/30_cat" tells the split too. */
export async function* kohyaFolder(tree: FileTree): AsyncGenerator<SourceItem> {
  yield* pictureFiles(tree, {
    place: (name) => {
      const folders = name.split('/').slice(0, -1)
      const found = folders.map(repeatsOf).findLast(Boolean) ?? null
      const split = splitOf(folders.find((folder) => splitOf(folder)) ?? '')
      return { facts: { ...found, ...(split ? { split } : {}) }, caption: found?.concept ?? null }
    },
    listed: () => null,
    isOwn: () => false,
  })
}
