import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import type { CheckpointStore, StoredCheckpoint } from '#engine/ports.ts'
import { isCode, manifestName, sha256, type SafeFs } from './safe-fs.ts'

const manifest = z.object({
  schema: z.literal(1),
  step: z.number().int().nonnegative(),
  createdAt: z.iso.datetime(),
  files: z.array(z.object({ name: z.string().regex(/^[a-z0-9.-]+$/), sizeBytes: z.number(), sha256: z.string() })),
})

export interface CheckpointSummary {
  step: number
  hash: string
  sizeBytes: number
  createdAt: string
}

/** Checkpoints of one run in `<run>/checkpoints/step-00001234/`: complete or not there at all. */
export class FileCheckpoints implements CheckpointStore {
  readonly #folder: string
  readonly #fs: SafeFs

  constructor(runFolder: string, fs: SafeFs) {
    this.#folder = join(runFolder, 'checkpoints')
    this.#fs = fs
  }

  async write(step: number, files: ReadonlyMap<string, Uint8Array>, keep: number): Promise<{ hash: string; sizeBytes: number }> {
    await this.#fs.folder(this.#folder)
    await this.#fs.sweep(this.#folder)
    // Training is a function of recipe, data and step: a sound checkpoint of this step is this checkpoint.
    const there = await this.at(step).catch(ignoreBroken)
    if (there) return { hash: there.hash, sizeBytes: sizeOf(there) }
    const createdAt = new Date().toISOString()
    const sizeBytes = await this.#fs.writeFolder(this.#path(step), files, (entries) =>
      new TextEncoder().encode(JSON.stringify({ schema: 1, step, createdAt, files: entries }, null, 1)),
    )
    const { hash } = await this.at(step) // older ones go only when this one verifies
    const steps = await this.#steps()
    for (const old of steps.slice(0, Math.max(0, steps.length - keep))) await this.#fs.remove(this.#path(old))
    return { hash, sizeBytes }
  }

  async newest(): Promise<StoredCheckpoint | null> {
    for (const step of (await this.#steps()).reverse()) {
      try {
        return await this.at(step)
      } catch (error) {
        ignoreBroken(error)
      }
    }
    return null
  }

  async at(step: number): Promise<StoredCheckpoint> {
    const folder = this.#path(step)
    const refuse = (what: string, cause?: unknown): never => {
      throw new StudioError('corrupt-file', `The checkpoint of step ${step} is damaged: ${what}. Use an earlier checkpoint.`, { cause })
    }
    const read = async (name: string): Promise<Uint8Array> =>
      readFile(join(folder, name)).catch((error: unknown) => {
        if (name === manifestName && isCode(error, 'ENOENT'))
          throw new StudioError('not-found', `There is no checkpoint of step ${step}. Choose one of the list.`)
        return refuse(`"${name}" cannot be read`, error)
      })
    const text = await read(manifestName)
    const { files } = parseManifest(text, refuse)
    const contents = new Map<string, Uint8Array>()
    for (const { name, sizeBytes, sha256: expected } of files) {
      const bytes = await read(name)
      if (bytes.length !== sizeBytes) refuse(`"${name}" has ${bytes.length} bytes instead of ${sizeBytes}`)
      if (sha256(bytes) !== expected) refuse(`"${name}" is not what was written`)
      contents.set(name, bytes)
    }
    return { step, hash: contentHash(files), files: contents }
  }

  /** What is there, oldest first, without reading the weights. */
  async list(): Promise<CheckpointSummary[]> {
    const summaries: CheckpointSummary[] = []
    for (const step of await this.#steps()) {
      const text = await readFile(join(this.#path(step), manifestName)).catch(() => null)
      const parsed = text ? manifest.safeParse(safeJson(text)) : null
      if (!parsed?.success) continue
      const { files, createdAt } = parsed.data
      summaries.push({ step, createdAt, hash: contentHash(files), sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0) })
    }
    return summaries
  }

  #path(step: number): string {
    return join(this.#folder, `step-${String(step).padStart(8, '0')}`)
  }

  async #steps(): Promise<number[]> {
    const names = await readdir(this.#folder).catch(() => [] as string[])
    return names.flatMap((name) => (/^step-(\d{8,})$/.test(name) ? [Number(name.slice(5))] : [])).sort((a, b) => a - b)
  }
}

/** A checkpoint that is damaged or gone is stepped over; anything else is a real failure. */
function ignoreBroken(error: unknown): null {
  if (error instanceof StudioError && (error.code === 'corrupt-file' || error.code === 'not-found')) return null
  throw error
}

function sizeOf({ files }: StoredCheckpoint): number {
  return [...files.values()].reduce((sum, { length }) => sum + length, 0)
}

/** Names the weights, not the moment at which they were written. */
function contentHash(files: z.infer<typeof manifest>['files']): string {
  return sha256(files.map((file) => `${file.name} ${file.sha256}\n`).join(''))
}

function safeJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return null // the caller's schema refuses it and says what is wrong
  }
}

function parseManifest(bytes: Uint8Array, refuse: (what: string) => never): z.infer<typeof manifest> {
  const parsed = manifest.safeParse(safeJson(bytes))
  return parsed.success ? parsed.data : refuse('its manifest is not of the expected form')
}
