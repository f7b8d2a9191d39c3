import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ImportSource, SourceLayout } from '#contracts/dataset.ts'
import { PictureError } from '#main/media/picture.ts'
import { openSource } from '#main/media/sources/open-source.ts'
import { temporaryFolder } from './temporary-folder.ts'

export type Files = Readonly<Record<string, Uint8Array | string>>

/** A folder with these files in it. */
export function folderOf(files: Files, folder = temporaryFolder()): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return folder
}

/** A file of that name in a folder of its own. */
export function fileOf(name: string, content: Uint8Array | string): string {
  return join(folderOf({ [name]: content }), name)
}

/** One item of a source, short: what is said of it, or the reason why it is refused; `bytes` is how many can be read, or why they cannot. */
export interface ShortItem {
  source: string
  captions?: readonly string[]
  tags?: readonly string[]
  facts?: object
  note?: string
  bytes?: number | string
  refused?: string
  detail?: string
}

/** All that a source gives. */
export async function itemsOf(path: string, { layout, kind = 'folder', mayRead = () => false }: Options = {}): Promise<ShortItem[]> {
  const source = await openSource({ kind, path, ...(layout ? { layout } : {}) }, mayRead)
  const items: ShortItem[] = []
  try {
    for await (const item of source.items()) {
      if ('refused' in item) items.push({ source: item.source, refused: item.refused.reason, detail: item.refused.detail })
      else {
        const { source: name, captions, tags, facts, note } = item
        const read = 'read' in item ? item.read() : Promise.resolve(new Uint8Array())
        const bytes = await read.then(
          ({ length }) => length,
          (error: unknown) => (error instanceof PictureError ? error.reason : `a bug: ${String(error)}`),
        )
        items.push({
          source: name,
          captions,
          bytes,
          ...(tags.length > 0 ? { tags } : {}),
          ...(Object.keys(facts).length > 0 ? { facts } : {}),
          ...(note ? { note: note.reason } : {}),
        })
      }
    }
  } finally {
    await source.close()
  }
  return items
}

interface Options {
  layout?: SourceLayout
  kind?: Exclude<ImportSource['kind'], 'sample'>
  mayRead?: (path: string) => boolean
}
