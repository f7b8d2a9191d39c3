import { join } from 'node:path'
import { z } from 'zod'
import { galleryItem } from '#contracts/gallery.ts'
import { pictureId, type PictureId } from '#contracts/project.ts'
import { jsonLines, readJsonLines } from './json-lines.ts'
import type { SafeFs } from './safe-fs.ts'

const marks = galleryItem.pick({ rating: true, pick: true, trashed: true }).partial()
const line = marks.extend({ ids: z.array(pictureId) })

/** What people think of pictures; what is not given stays as it is. */
export type Marks = z.infer<typeof marks>

/** `outputs/marks.jsonl`: ratings, picks and the trash as they were given, one change a line, so that a new index has them too. */
export class PictureMarks {
  readonly #path: string
  readonly #fs: SafeFs

  constructor(outputs: string, fs: SafeFs) {
    this.#path = join(outputs, 'marks.jsonl')
    this.#fs = fs
  }

  async add(ids: readonly PictureId[], given: Marks): Promise<void> {
    await this.#fs.append(this.#path, jsonLines([{ ids, ...given }]))
  }

  /** The marks of each picture, the last ones given. */
  async readAll(): Promise<Map<PictureId, Marks>> {
    const all = new Map<PictureId, Marks>()
    for (const { ids, ...given } of await readJsonLines(this.#path, line)) for (const id of ids) all.set(id, { ...all.get(id), ...given })
    return all
  }
}
