import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { settingsFolder } from './registry.ts'
import { isCode, type SafeFs } from './safe-fs.ts'

const file = z.object({ schema: z.literal(1), keys: z.record(z.string(), z.string()) })

/** Keys of caption servers, in a file of the studio's settings that only its owner may read: never in a project, a log or an answer. */
export class CaptionKeys {
  readonly #path: string
  readonly #folder: string
  readonly #fs: SafeFs

  constructor(fs: SafeFs, folder = settingsFolder()) {
    this.#fs = fs
    this.#folder = folder
    this.#path = join(folder, 'caption-keys.json')
  }

  /** The key for a server's address; it goes to that scheme, host and port alone. */
  async of(address: string): Promise<string | null> {
    return (await this.#read())[originOf(address)] ?? null
  }

  async set(address: string, key: string | null): Promise<void> {
    const { [originOf(address)]: _before, ...others } = await this.#read()
    const keys = key === null ? others : { ...others, [originOf(address)]: key }
    await this.#fs.folder(this.#folder)
    await this.#fs.writeFile(this.#path, `${JSON.stringify({ schema: 1, keys }, null, 2)}\n`, { mode: 0o600 })
  }

  async #read(): Promise<Record<string, string>> {
    try {
      return file.parse(JSON.parse(await readFile(this.#path, 'utf8'))).keys
    } catch (cause) {
      if (isCode(cause, 'ENOENT')) return {}
      // Nothing of the file is repeated here: it holds secrets.
      throw new StudioError(
        'corrupt-file',
        `The keys of caption servers in "${this.#path}" cannot be read. Move the file away and enter the keys again.`,
      )
    }
  }
}

function originOf(address: string): string {
  const url = URL.parse(address)
  if (url && /^https?:$/.test(url.protocol)) return url.origin
  throw new StudioError(
    'invalid-request',
    'A key belongs to a server with an address like http://127.0.0.1:1234. Enter that address first.',
  )
}
