import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { SafeFs } from '../store/safe-fs.ts'
import { PictureError } from './picture.ts'
import { readBounded } from './sources/bounded-file.ts'
import { fileLimitBytes } from './sources/file-tree.ts'
import { FolderTree } from './sources/folder-tree.ts'

/**
 * Copies files and the files of folders into a new folder, under their own names; those whose name is taken get a folder of their own. What must
 * not be read (links, pipes) is left out.
 *
 * @param paths real paths: without links.
 * @throws StudioError disk-full.
 */
export async function gather(paths: readonly string[], into: string, fs: SafeFs): Promise<void> {
  const taken = new Set<string>()
  for (const [index, path] of paths.entries()) {
    const own = basename(path)
    const name = taken.has(own) ? join(String(index + 1), own) : own
    taken.add(own)
    if (!(await stat(path)).isDirectory()) await keep(join(into, name), () => readBounded(path, fileLimitBytes), fs)
    else
      for await (const file of new FolderTree(path).files())
        if (!file.refused) await keep(join(into, name, file.name), () => file.read(fileLimitBytes), fs)
  }
}

async function keep(path: string, read: () => Promise<Uint8Array>, fs: SafeFs): Promise<void> {
  try {
    const bytes = await read()
    await fs.folder(dirname(path))
    await fs.writeFile(path, bytes)
  } catch (error) {
    if (!(error instanceof PictureError)) throw error
    // The import tells of a file that cannot be read by its name, with nothing in it.
    await fs.folder(dirname(path))
    await fs.writeFile(path, '')
  }
}
