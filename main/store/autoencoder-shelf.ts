import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { autoencoderHash, autoencoderInfo, latentScale, type AutoencoderInfo } from '#contracts/autoencoder.ts'
import { StudioError } from '#contracts/errors.ts'
import type { AutoencoderFiles } from '#engine/ports.ts'
import { isCode, sha256, type SafeFs } from './safe-fs.ts'

/** What goes with the two models: what their configuration said. */
export const autoencoderSettings = latentScale.extend({
  latentChannels: z.number().int().min(1).max(256).nullable(),
  factor: z.number().int().min(1).max(64).nullable(),
})
export type AutoencoderSettings = z.infer<typeof autoencoderSettings>

/** Bytes that a model may have: those of Stable Diffusion have 200 million. */
export const modelLimitBytes = 1024 ** 3

const parts = ['encoder.onnx', 'decoder.onnx'] as const
const settingsFile = autoencoderSettings.extend({
  schema: z.literal(1),
  files: z.record(z.enum(parts), z.object({ sha256: z.string(), sizeBytes: z.number() })),
})
const infoFile = autoencoderInfo.extend({ schema: z.literal(1) })
const chosenFile = z.object({ schema: z.literal(1), hash: autoencoderHash.nullable() })

/** Where a user's two models lie. */
export interface AutoencoderSource {
  encoder: string
  decoder: string
  settings: AutoencoderSettings
}

/** The autoencoders of a project, each a copy in `autoencoders/<hash>/`, and which of them is chosen. */
export class AutoencoderShelf {
  readonly #folder: string
  readonly #fs: SafeFs
  #turn: Promise<unknown> = Promise.resolve()

  constructor(folder: string, fs: SafeFs) {
    this.#folder = folder
    this.#fs = fs
  }

  folderOf(hash: string): string {
    return join(this.#folder, autoencoderHash.parse(hash))
  }

  async chosen(): Promise<AutoencoderInfo | null> {
    const parsed = chosenFile.safeParse(await readJson(join(this.#folder, 'chosen.json'))).data
    return parsed?.hash ? this.get(parsed.hash) : null
  }

  async choose(hash: string | null): Promise<void> {
    await this.#fs.folder(this.#folder)
    await this.#fs.writeFile(join(this.#folder, 'chosen.json'), `${JSON.stringify({ schema: 1, hash })}\n`)
  }

  /** Null when the project has none of that hash. */
  async get(hash: string): Promise<AutoencoderInfo | null> {
    const info = infoFile.safeParse(await readJson(join(this.folderOf(hash), 'info.json'))).data
    return info?.hash === hash ? autoencoderInfo.parse(info) : null
  }

  async list(): Promise<AutoencoderInfo[]> {
    const names = await readdir(this.#folder).catch(() => [])
    const found = await Promise.all(names.filter((name) => autoencoderHash.safeParse(name).success).map((hash) => this.get(hash)))
    return found.flatMap((info) => info ?? [])
  }

  /**
   * Copies the two models into the project under their common hash; `inspect` then says what they are, or throws, and then nothing of them stays. One at a time.
   */
  add(
    source: AutoencoderSource,
    name: string,
    signal: AbortSignal,
    inspect: (folder: string) => Promise<Omit<AutoencoderInfo, 'hash' | 'name' | 'sizeBytes'>>,
  ): Promise<AutoencoderInfo> {
    const mine = this.#turn.then(() => this.#addNow(source, name, signal, inspect))
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }

  async remove(hash: string): Promise<void> {
    await this.#fs.remove(this.folderOf(hash))
  }

  async #addNow(
    { encoder, decoder, settings }: AutoencoderSource,
    name: string,
    signal: AbortSignal,
    inspect: (folder: string) => Promise<Omit<AutoencoderInfo, 'hash' | 'name' | 'sizeBytes'>>,
  ): Promise<AutoencoderInfo> {
    await this.#fs.folder(this.#folder)
    const incoming = join(this.#folder, '.incoming')
    await this.#fs.remove(incoming)
    await this.#fs.folder(incoming)
    try {
      const files = {
        'encoder.onnx': await this.#copy(encoder, join(incoming, 'encoder.onnx'), signal),
        'decoder.onnx': await this.#copy(decoder, join(incoming, 'decoder.onnx'), signal),
      }
      const hash = sha256(JSON.stringify([...parts.map((part) => files[part].sha256), settings.scalingFactor, settings.shiftFactor]))
      const there = await this.get(hash)
      if (there && (await isWhole(this.folderOf(hash)))) return there
      await this.#fs.writeFile(join(incoming, 'settings.json'), `${JSON.stringify({ schema: 1, ...settings, files }, null, 2)}\n`)
      const sizeBytes = parts.reduce((sum, part) => sum + files[part].sizeBytes, 0)
      const info: AutoencoderInfo = { ...(await inspect(incoming)), hash, name, sizeBytes }
      await this.#fs.writeFile(join(incoming, 'info.json'), `${JSON.stringify({ schema: 1, ...info }, null, 2)}\n`)
      await this.#fs.remove(this.folderOf(hash)) // one that is there is not whole, or it would have been found
      await this.#fs.move(incoming, this.folderOf(hash))
      return info
    } finally {
      await this.#fs.remove(incoming)
    }
  }

  async #copy(from: string, to: string, signal: AbortSignal): Promise<{ sha256: string; sizeBytes: number }> {
    const file = await this.#fs.newFile(to)
    const hash = createHash('sha256')
    let sizeBytes = 0
    try {
      for await (const chunk of createReadStream(from, { highWaterMark: 1024 * 1024, signal }) as AsyncIterable<Buffer>) {
        hash.update(chunk)
        sizeBytes += chunk.length
        if (sizeBytes > modelLimitBytes)
          throw new StudioError('unsafe-file', `"${basename(from)}" grew beyond ${modelLimitBytes} bytes while it was read.`)
        await file.write(chunk)
      }
      await file.keep()
    } catch (error) {
      await file.discard()
      throw error
    }
    return { sha256: hash.digest('hex'), sizeBytes }
  }
}

async function isWhole(folder: string): Promise<boolean> {
  return readAutoencoder(folder).then(
    () => true,
    () => false, // what is wrong with it does not matter: it is written anew
  )
}

/** The files of a kept autoencoder, checked. @throws StudioError not-found, corrupt-file. */
export async function readAutoencoder(folder: string): Promise<AutoencoderFiles> {
  const parsed = settingsFile.safeParse(await readJson(join(folder, 'settings.json'))).data
  if (!parsed) throw new StudioError('not-found', "The autoencoder is no longer in the project's folder. Choose it again.")
  const read = async (part: (typeof parts)[number]) => {
    const bytes = await readFile(join(folder, part)).catch((cause: unknown) => {
      throw new StudioError('not-found', `The autoencoder's ${part} is no longer in the project's folder. Choose the autoencoder again.`, {
        cause,
      })
    })
    if (sha256(bytes) !== parsed.files[part].sha256)
      throw new StudioError('corrupt-file', `The autoencoder's ${part} is damaged. Choose the autoencoder again.`)
    return bytes
  }
  const { scalingFactor, shiftFactor, latentChannels, factor } = parsed
  return { encoder: await read('encoder.onnx'), decoder: await read('decoder.onnx'), scalingFactor, shiftFactor, latentChannels, factor }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return 'null'
    throw error
  })
  try {
    return JSON.parse(text)
  } catch {
    return null // its schema refuses it
  }
}
