import { join } from 'node:path'
import { z } from 'zod'
import { jsonLines, readJsonLines } from './json-lines.ts'
import type { SafeFs } from './safe-fs.ts'

const allowance = z.enum(['small', 'large'])
/** What is taken in spite of a limit: a picture that must be enlarged, one of more pixels than are read without asking. */
export type Allowance = z.infer<typeof allowance>

const allowanceLine = z.object({ at: z.iso.datetime(), root: z.string(), source: z.string(), allow: allowance.nullable() })

/** `allowances.jsonl`: the files that people accepted although the import would not take them. Every import of them goes by it. */
export class Allowances {
  readonly #path: string
  readonly #fs: SafeFs

  constructor(datasetFolder: string, fs: SafeFs) {
    this.#path = join(datasetFolder, 'allowances.jsonl')
    this.#fs = fs
  }

  /** Of the files of one source, by their names. */
  async of(root: string): Promise<Map<string, Allowance>> {
    const allowed = new Map<string, Allowance>()
    for (const line of await readJsonLines(this.#path, allowanceLine)) {
      if (line.root !== root) continue
      if (line.allow) allowed.set(line.source, line.allow)
      else allowed.delete(line.source)
    }
    return allowed
  }

  /** Null gives up what was accepted. */
  async set(root: string, sources: readonly string[], allow: Allowance | null): Promise<void> {
    const at = new Date().toISOString()
    await this.#fs.append(this.#path, jsonLines(sources.map((source) => ({ at, root, source, allow }))))
  }
}
