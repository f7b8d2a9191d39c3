import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { FeatureGroup } from '#engine/ports.ts'
import {
  featureKey,
  groupName,
  isSoundRecord,
  keyOf,
  readRecords,
  recordBytes,
  recordContent,
  shardName,
  type RecordPlace,
} from './feature-cache.ts'
import { isCode } from './safe-fs.ts'

/** The kept results of one encoder as they were when this was opened, only read: another process may add to them meanwhile. */
export class KeptFeatures {
  readonly #folder: string
  readonly #group: FeatureGroup
  readonly #places: ReadonlyMap<string, RecordPlace>

  private constructor(folder: string, group: FeatureGroup, places: ReadonlyMap<string, RecordPlace>) {
    this.#folder = folder
    this.#group = group
    this.#places = places
  }

  /** Those of a group under `root`; none where nothing was ever kept. */
  static async open(root: string, group: FeatureGroup): Promise<KeptFeatures> {
    const folder = join(root, groupName(group))
    const records = await readRecords(folder, recordBytes(group))
    return new KeptFeatures(folder, group, new Map(records.map(({ key, ...place }) => [key, place])))
  }

  has(source: string): boolean {
    return this.#places.has(featureKey(this.#group, source))
  }

  /** The numbers as they were written; null where there are none, or others. */
  read(source: string): Uint8Array | null {
    const key = featureKey(this.#group, source)
    const place = this.#places.get(key)
    const record = place && this.#recordAt(place)
    return record && isSoundRecord(record) && keyOf(record) === key ? recordContent(record) : null
  }

  #recordAt({ shard, slot }: RecordPlace): Buffer | null {
    const record = Buffer.alloc(recordBytes(this.#group))
    try {
      const file = openSync(join(this.#folder, shardName(shard)), 'r')
      try {
        return readSync(file, record, 0, record.length, slot * record.length) === record.length ? record : null
      } finally {
        closeSync(file)
      }
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'EIO')) return null
      throw error
    }
  }
}
