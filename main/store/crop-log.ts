import { join } from 'node:path'
import { z } from 'zod'
import { crop, rectangle } from '#contracts/curation.ts'
import { itemId, type ItemId } from '#contracts/project.ts'
import { originalAway } from '#contracts/xray.ts'
import { jsonLines } from './json-lines.ts'
import { readLines } from './line-reader.ts'
import type { SafeFs } from './safe-fs.ts'

/** Shards from this number on hold pixels that were made anew; imports, which run beside, number theirs from 0. */
export const firstCropShard = 1_000_000

/** Where an item's pixels lie, and their sha256. */
const pixelPlace = z.object({ shard: z.number().int().nonnegative(), slot: z.number().int().nonnegative(), pixelHash: z.string() })
export type PixelPlace = z.infer<typeof pixelPlace>

/** One line of crops.jsonl: from here on an item is trained on these pixels. */
export const cropped = pixelPlace.extend({
  id: itemId,
  /** The crop that was asked for. */
  crop,
  /** What the pixels were made of; null for the middle of the original, as an import makes them. */
  area: rectangle.nullable(),
  /** Why the pixels are still those of before. */
  away: originalAway.optional(),
})
export type Cropped = z.infer<typeof cropped>

/**
 * `crops.jsonl`: the last line of an item says which pixels it is trained on, and of what part they were made. An item without a line has those of
 * its import. Pixels that no line speaks of any more stay where they are: snapshots may.
 */
export class CropLog {
  readonly path: string
  readonly #fs: SafeFs

  constructor(folder: string, fs: SafeFs) {
    this.path = join(folder, 'crops.jsonl')
    this.#fs = fs
  }

  add(lines: readonly Cropped[]): Promise<void> {
    return this.#fs.append(this.path, jsonLines(lines))
  }

  /** The pixels of every item that has a line. */
  async places(): Promise<Map<ItemId, PixelPlace>> {
    const all = new Map<ItemId, PixelPlace>()
    for await (const { text } of readLines(this.path)) {
      const { id, shard, slot, pixelHash } = cropped.parse(JSON.parse(text))
      all.set(id, { shard, slot, pixelHash })
    }
    return all
  }

  /** Forgets all crops, when pictures get another size and every one is made anew. */
  clear(): Promise<void> {
    return this.#fs.remove(this.path)
  }
}
