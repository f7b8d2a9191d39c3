import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../store/safe-fs.ts'
import { placeOf } from '../store/source-record.ts'
import { PictureError } from './picture.ts'
import { readBounded } from './sources/bounded-file.ts'
import { fileLimitBytes, type FileTree } from './sources/file-tree.ts'
import { openSource, openTree } from './sources/open-source.ts'
import { containerOf } from './sources/recognize.ts'
import { TarTree } from './sources/tar-tree.ts'
import { isShard } from './sources/web-dataset.ts'

/** A file of a source that is in the data set. */
export interface Original {
  source: string
  /** What the file was when it was imported. */
  fileHash: string
  /** The ending of the project's own copy, where there is one. */
  copied?: string | null | undefined
}

/** The bytes of a source's files as they were imported, in the order of `wanted`; null for one that is gone or another now. */
export async function* readOriginals<T extends Original>(
  root: string,
  wanted: readonly T[],
  originalsFolder: string,
): AsyncGenerator<[T, Uint8Array | null]> {
  const originals = new Originals(originalsFolder)
  try {
    for (const one of wanted) yield [one, await originals.read({ ...one, root })]
  } finally {
    await originals.close()
  }
}

/**
 * Files of sources as they were imported. Nothing is trusted but what has the hash of that time. The project's own copies come first, so that they
 * serve while the source is away. The source that was last read from stays open: those who ask in the order of the import are served soonest.
 */
export class Originals {
  readonly #folder: string
  #open: { root: string; there: OpenRoot | null } | null = null

  /** @param folder of the project's copies. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Null where the file is gone or another now. One call after the other. */
  async read({ root, source, fileHash, copied }: Original & { root: string }): Promise<Uint8Array | null> {
    const copy = copied && (await orNull(() => readBounded(join(this.#folder, fileHash.slice(0, 2), fileHash + copied), fileLimitBytes)))
    if (copy && sha256(copy) === fileHash) return copy
    if (this.#open?.root !== root) {
      await this.close()
      this.#open = { root, there: await openRoot(await placeOf(this.#folder, root)).catch(() => null) } // a drive that is away
    }
    const { there } = this.#open
    const bytes = there && (await orNull(() => there.read(source)))
    return bytes && sha256(bytes) === fileHash ? bytes : null
  }

  async close(): Promise<void> {
    await this.#open?.there?.close()
    this.#open = null
  }
}

export interface OpenRoot {
  /** The bytes of the file that the ledger has under a name; null where there is none. */
  read(source: string): Promise<Uint8Array | null>
  close(): Promise<void>
}

/** A source, to read files of it by the names that the ledger has. @param root where it lies now, or "sample". */
export async function openRoot(root: string): Promise<OpenRoot> {
  const real = root === 'sample' ? null : await realpath(root)
  const container = real && (await containerOf(real))
  if (real && (container === 'folder' || container === 'zip' || container === 'tar'))
    return new OpenTree(real, await openTree(container, real))
  return openItems(root)
}

/** Files of a tree by their names, and those of its shards: "00000.tar/0001.jpg". */
class OpenTree implements OpenRoot {
  readonly #path: string
  readonly #tree: FileTree
  #shard: { name: string; tar: FileTree } | null = null

  constructor(path: string, tree: FileTree) {
    this.#path = path
    this.#tree = tree
  }

  async read(source: string): Promise<Uint8Array | null> {
    const file = (await this.#tree.find(source)) ?? (await this.#inShard(source))
    return file && file.read(fileLimitBytes)
  }

  async close(): Promise<void> {
    await this.#shard?.tar.close()
    await this.#tree.close()
  }

  async #inShard(source: string) {
    const parts = source.split('/')
    const at = parts.findIndex(isShard)
    if (at < 0 || this.#tree.kind !== 'folder') return null
    const name = parts.slice(0, at + 1).join('/')
    if (!(await this.#tree.find(name))) return null
    if (this.#shard?.name !== name) {
      await this.#shard?.tar.close()
      this.#shard = null
      this.#shard = { name, tar: await TarTree.open(join(this.#path, name)) }
    }
    return this.#shard.tar.find(parts.slice(at + 1).join('/'))
  }
}

/** Sources without a tree: the sample set, a TOML file, one picture. */
async function openItems(root: string): Promise<OpenRoot> {
  const source = await openSource(root === 'sample' ? { kind: 'sample' } : { kind: 'file', path: root }, () => false)
  const items = new Map<string, () => Promise<Uint8Array>>()
  for await (const item of source.items()) if ('read' in item) items.set(item.source, () => item.read())
  return { read: async (name) => (await items.get(name)?.()) ?? null, close: () => source.close() }
}

/** What cannot be read is not there; other errors are errors. */
async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof PictureError) return null
    throw error
  }
}
