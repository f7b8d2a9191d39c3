import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, type SafeFs } from './safe-fs.ts'

/** Copies of what was dropped on a browser's window: each in a folder of its own name, kept until its import is done. */
export class StagedDrops {
  readonly #folder: string
  readonly #fs: SafeFs

  constructor(folder: string, fs: SafeFs) {
    this.#folder = folder
    this.#fs = fs
  }

  /** Deletes the copy that `source`, what was imported, is or lies in; any other folder is left alone. */
  async release(source: string): Promise<void> {
    for (const name of await this.#names()) if (partsOf(source).includes(name)) await this.#fs.remove(join(this.#folder, name))
  }

  /** Deletes all copies but those that are among `sources`. */
  async sweep(sources: readonly string[]): Promise<void> {
    // By name: the project may have been moved since its jobs were queued.
    const wanted: ReadonlySet<string> = new Set(sources.flatMap(partsOf))
    for (const name of await this.#names()) if (!wanted.has(name)) await this.#fs.remove(join(this.#folder, name))
  }

  async #names(): Promise<string[]> {
    return readdir(this.#folder).catch((error: unknown) => {
      if (isCode(error, 'ENOENT')) return [] // nothing was ever dropped
      throw error
    })
  }
}

/** Names of drops are random, so that no other folder on the way is taken for one. */
function partsOf(path: string): string[] {
  return path.split(/[\\/]/)
}

/** Whether a path is or was, in whichever folder the project lay then, the copy of what was dropped. */
export function isStagedPath(path: string): boolean {
  return /[\\/]cache[\\/]staging[\\/][0-9a-f]{8}-[0-9a-f-]{27}(?:[\\/]|$)/.test(path)
}
