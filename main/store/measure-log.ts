import { join } from 'node:path'
import { z } from 'zod'
import { measures } from '#contracts/curation.ts'
import { itemId } from '#contracts/project.ts'
import { jsonLines } from './json-lines.ts'
import type { SafeFs } from './safe-fs.ts'

/** One line of measures.jsonl: what was measured of an item. `looks` is its perceptual hash in 16 hex digits, null where there is nothing to see. */
export const measured = measures.extend({
  id: itemId,
  looks: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .nullable(),
})
export type Measured = z.infer<typeof measured>

/** `measures.jsonl`: kept because measuring takes long; it can be made again from the pictures. */
export class MeasureLog {
  readonly path: string
  readonly #fs: SafeFs

  constructor(folder: string, fs: SafeFs) {
    this.path = join(folder, 'measures.jsonl')
    this.#fs = fs
  }

  add(lines: readonly Measured[]): Promise<void> {
    return this.#fs.append(this.path, jsonLines(lines))
  }
}
