import { join } from 'node:path'
import { z } from 'zod'
import { importOptions, sourceLayout, type ImportOptions, type ImportSource } from '#contracts/dataset.ts'
import { jsonLines, readJsonLines } from './json-lines.ts'
import type { SafeFs } from './safe-fs.ts'

const reading = z.object({
  root: z.string(),
  layout: sourceLayout.nullable(),
  originals: z.enum(['reference', 'copy']),
  options: importOptions,
})
const move = z.object({ root: z.string(), place: z.string() })
const recordLine = z.union([reading, move])

/** How a source was last read, so that it can be read again in the same way. */
export type Reading = z.infer<typeof reading>

/**
 * `sources.jsonl`, beside the copies of originals: how each source was read, and where those lie now that are not where they were. The ledger goes
 * on to call a source what it called it at first; only this file knows another place.
 */
export class SourceRecord {
  readonly #folder: string
  readonly #fs: SafeFs

  /** @param originalsFolder where the project keeps copies of imported files. */
  constructor(originalsFolder: string, fs: SafeFs) {
    this.#folder = originalsFolder
    this.#fs = fs
  }

  /** How a source was last read; null for one of an older studio. */
  async reading(root: string): Promise<Reading | null> {
    const all = await lines(this.#folder)
    return all.findLast((line): line is Reading => 'options' in line && line.root === root) ?? null
  }

  async remember(source: ImportSource, options: ImportOptions): Promise<void> {
    if (source.kind === 'sample') return
    const root = await rootAt(this.#folder, source.path)
    const now: Reading = { root, layout: source.layout ?? null, originals: source.originals ?? 'reference', options }
    if (JSON.stringify(await this.reading(root)) !== JSON.stringify(now)) await this.#add(now)
  }

  /** A source lies elsewhere now; its own path takes that back. */
  async move(root: string, place: string): Promise<void> {
    await this.#add({ root, place })
  }

  async #add(line: z.infer<typeof recordLine>): Promise<void> {
    await this.#fs.folder(this.#folder)
    await this.#fs.append(path(this.#folder), jsonLines([line]))
  }
}

/** Where a source lies now. */
export async function placeOf(originalsFolder: string, root: string): Promise<string> {
  return (await places(originalsFolder)).get(root) ?? root
}

/** What the ledger calls the source that lies at a place. */
export async function rootAt(originalsFolder: string, place: string): Promise<string> {
  for (const [root, now] of await places(originalsFolder)) if (now === place) return root
  return place
}

/** Where the sources lie that are not where they were. */
export async function places(originalsFolder: string): Promise<Map<string, string>> {
  const moved = new Map<string, string>()
  for (const line of await lines(originalsFolder)) {
    if (!('place' in line)) continue
    if (line.place === line.root) moved.delete(line.root)
    else moved.set(line.root, line.place)
  }
  return moved
}

function lines(folder: string): Promise<z.infer<typeof recordLine>[]> {
  return readJsonLines(path(folder), recordLine)
}

function path(folder: string): string {
  return join(folder, 'sources.jsonl')
}
