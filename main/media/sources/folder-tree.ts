import type { Dirent } from 'node:fs'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { safeName } from './archive-entry.ts'
import { readBounded, readHead } from './bounded-file.ts'
import { folderOf, type FileTree, type TreeFile } from './file-tree.ts'
import type { Remark } from './source-item.ts'

const depthLimit = 32

/** The files of a folder and the folders in it, in an order that does not depend on the file system. No link is followed. */
export class FolderTree implements FileTree {
  readonly kind = 'folder'
  readonly #root: string
  readonly #isFlat: boolean
  /** Of the folders that the walk is in: caption files lie beside their pictures. */
  readonly #listed = new Map<string, ReadonlyMap<string, Dirent>>()

  /** @param root a real path: one without links. */
  constructor(root: string, { isFlat = false } = {}) {
    this.#root = root
    this.#isFlat = isFlat
  }

  async *files(): AsyncGenerator<TreeFile> {
    yield* this.#walk('', 0)
  }

  async find(name: string): Promise<TreeFile | null> {
    const listed = this.#listed.get(folderOf(name))
    const isThere = listed ? listed.get(name.slice(name.lastIndexOf('/') + 1))?.isFile() : await this.#isFile(name)
    return isThere ? this.#file(name, null) : null
  }

  async close(): Promise<void> {
    this.#listed.clear()
  }

  async *#walk(folder: string, depth: number): AsyncGenerator<TreeFile> {
    const entries = await this.#list(folder).catch(() => null)
    if (!entries) {
      yield this.#file(folder || '.', { reason: 'unreadable', detail: 'The folder could not be opened. Check its permissions.' })
      return
    }
    // A folder sorts as all that is in it, so that the whole walk is in the order of the full names.
    this.#listed.set(folder, entries)
    const sorted = [...entries.values()].map((entry) => [entry.isDirectory() ? `${entry.name}/` : entry.name, entry] as const)
    sorted.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [, entry] of sorted) {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (!entry.isDirectory()) yield this.#file(name, refusalOf(entry))
      else if (this.#isFlat)
        yield this.#file(name, { reason: 'not-used', detail: 'Folders inside this one are not read. Name them on their own.' })
      else if (depth < depthLimit) yield* this.#walk(name, depth + 1)
      else yield this.#file(name, { reason: 'unreadable', detail: `The folder lies deeper than ${depthLimit} levels.` })
    }
    this.#listed.delete(folder)
  }

  async #list(folder: string): Promise<ReadonlyMap<string, Dirent>> {
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true })
    return new Map(entries.map((entry) => [entry.name, entry]))
  }

  /** Whether a name leads to a file without any link on the way. */
  async #isFile(name: string): Promise<boolean> {
    if (safeName(name).refused) return false
    const path = join(this.#root, name)
    const real = await realpath(path).catch(() => null)
    return (
      real === path &&
      (await lstat(path).then(
        (info) => info.isFile(),
        () => false,
      ))
    )
  }

  #file(name: string, refused: Remark | null): TreeFile {
    const path = join(this.#root, name)
    return { name, refused, path, read: (limitBytes) => readBounded(path, limitBytes), head: (count) => readHead(path, count) }
  }
}

function refusalOf(entry: Dirent): Remark | null {
  if (entry.isSymbolicLink()) return { reason: 'link-outside', detail: 'Links are not followed. Copy the picture itself into the folder.' }
  if (!entry.isFile()) return { reason: 'not-a-file', detail: 'This is a pipe, a socket or a device, not a file.' }
  if (entry.name.includes('\ufffd')) return { reason: 'unreadable', detail: 'The name of the file is not UTF-8. Rename the file.' }
  return null
}
