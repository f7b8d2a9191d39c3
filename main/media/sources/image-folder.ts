import type { FileTree } from './file-tree.ts'
import { repeatsOf } from './kohya-folder.ts'
import { isMetadata, MetadataList } from './metadata-list.ts'
import { pictureFiles } from './picture-files.ts'
import type { SourceItem } from './source-item.ts'
import { splitOf } from './split-name.ts'

/** The one folder that everything lies in, as archives often have it, with its slash; '' where there is none or where its name means something. */
export async function baseOf(tree: FileTree): Promise<string> {
  let base: string | null = null
  for await (const { name } of tree.files()) {
    const top = name.slice(0, name.indexOf('/') + 1)
    if (top === '' || (base !== null && base !== top)) return ''
    base = top
  }
  const folder = (base ?? '').slice(0, -1)
  return splitOf(folder) || repeatsOf(folder) ? '' : (base ?? '')
}

/** Hugging Face's image folder: metadata.jsonl, .csv or .parquet with "file_name" and columns; first folders named after splits. */
export async function* imageFolder(tree: FileTree): AsyncGenerator<SourceItem> {
  const [base, metadata] = [await baseOf(tree), await MetadataList.read(tree)]
  yield* pictureFiles(tree, {
    place: (name) => {
      const inside = name.slice(base.length)
      const split = splitOf(inside.slice(0, Math.max(0, inside.indexOf('/'))))
      return { facts: split ? { split } : {}, caption: null }
    },
    listed: (name) => metadata.said(name),
    isOwn: isMetadata,
  })
  yield* metadata.told()
}
