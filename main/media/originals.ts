import { lstat, readFile } from 'node:fs/promises'
import { sha256 } from '../store/safe-fs.ts'
import { listFolder } from './picture-source.ts'
import { listSampleSet } from './sample-set.ts'

const sizeLimitBytes = 512 * 1024 * 1024

/** A file of a source that is in the data set. */
export interface Original {
  source: string
  /** What the file was when it was imported. */
  fileHash: string
}

/** The bytes of a source's files as they were imported; null for one that is gone or another now. Nothing is trusted but what has that hash. */
export async function* readOriginals<T extends Original>(root: string, wanted: readonly T[]): AsyncGenerator<[T, Uint8Array | null]> {
  const found = await (root === 'sample' ? listSampleSet() : listFolder(root)).catch(() => []) // a drive that is away
  const paths = new Map(found.flatMap(({ source, path, refused }) => (refused ? [] : [[source, path]])))
  for (const one of wanted) {
    const path = paths.get(one.source)
    const info = path === undefined ? null : await lstat(path).catch(() => null)
    const bytes = info?.isFile() && info.size <= sizeLimitBytes ? await readFile(path!).catch(() => null) : null
    yield [one, bytes && sha256(bytes) === one.fileHash ? bytes : null]
  }
}
