import { randomUUID } from 'node:crypto'
import { readdir, realpath, stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { Studio } from '../compose.ts'

const fileLimitBytes = 512 * 1024 * 1024

/** Files dropped on a browser's window, kept in the open project until they are imported. */
export class Uploads {
  readonly #studio: Studio
  #drop: { staging: string; folder: string } | null = null

  constructor(studio: Studio) {
    this.#studio = studio
  }

  /** One file; `name` is its path inside what was dropped. */
  async receive(name: string, request: IncomingMessage): Promise<void> {
    const { staging } = this.#studio.context.project().folder
    const drop = this.#drop?.staging === staging ? this.#drop : { staging, folder: join(staging, randomUUID()) }
    const path = join(drop.folder, name)
    const inside = relative(drop.folder, path)
    if (inside === '' || inside.startsWith('..') || isAbsolute(inside) || name.includes('\0') || name.length > 1000) {
      throw new StudioError('unsafe-file', 'The name of a dropped file leads outside of what was dropped. Rename it and drop it again.')
    }
    this.#drop = drop
    const bytes = await readWhole(name, request)
    await this.#studio.context.fs.folder(dirname(path))
    await this.#studio.context.fs.writeFile(path, bytes)
  }

  /** What was dropped since the last call: a folder, or the one file that it was. It may be imported from then on. */
  async finish(): Promise<string> {
    const { staging } = this.#studio.context.project().folder
    if (this.#drop?.staging !== staging) throw new StudioError('bad-source', 'Nothing was dropped. Drop a folder or some pictures.')
    const folder = await realpath(this.#drop.folder).catch((cause: unknown) => {
      throw new StudioError('bad-source', 'None of the dropped files arrived. Drop them again.', { cause })
    })
    this.#studio.context.allowedRoots.add(folder)
    this.#drop = null
    const [name, ...others] = await readdir(folder)
    const only = name !== undefined && others.length === 0 ? join(folder, name) : null
    return only !== null && (await stat(only)).isFile() ? only : folder
  }
}

async function readWhole(name: string, request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > fileLimitBytes)
      throw new StudioError('invalid-request', `"${name}" has more than ${fileLimitBytes / 2 ** 20} MiB. Import its folder instead.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
