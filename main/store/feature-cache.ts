import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import type { FeatureGroup, FeatureStore } from '#engine/ports.ts'
import { isCode, sha256, type SafeFs } from './safe-fs.ts'

/** Version of the files' form: others are not read. */
const formVersion = 1
const shardBytes = 64 * 1024 * 1024
const flushBytes = 4 * 1024 * 1024
const flushEveryMs = 1000 // no more than this is done twice after a crash

/** A record: what it is, a checksum of all that follows, the hash of what it was made from; then the numbers. */
const mark = 0x5a46_4331 // "ZFC1"
const headerBytes = 40
const hashBytes = 32
const elementBytes = { f32: 4, f16: 2 } as const

export const featureGroup = z.object({
  form: z.literal(formVersion),
  kind: z.enum(['latents', 'text']),
  encoder: z.string(),
  dtype: z.enum(['f32', 'f16']),
  shape: z.array(z.number().int().min(1)),
})
export const quarantineLine = z.object({ source: z.string(), item: z.string(), reason: z.string() })
export type Quarantined = z.infer<typeof quarantineLine>

export interface RecordPlace {
  shard: number
  slot: number
}

/** The folder's name of a group: a name that says what it is, and that differs when anything does. */
export function groupName(group: FeatureGroup): string {
  const { kind, dtype, shape } = group
  return `${kind}-${shape.join('x')}-${dtype}-${sha256(JSON.stringify(featureGroup.parse({ form: formVersion, ...group }))).slice(0, 16)}`
}

/** Under what an entry is kept: the hash of what it was made from and of what made it. */
export function featureKey(group: FeatureGroup, source: string): string {
  return sha256(JSON.stringify([formVersion, group.kind, group.encoder, group.dtype, group.shape, source]))
}

export function recordBytes({ dtype, shape }: Pick<FeatureGroup, 'dtype' | 'shape'>): number {
  return headerBytes + shape.reduce((product, n) => product * n, elementBytes[dtype])
}

/**
 * The kept results of one encoder, in files of records of one size that are only added to. A record that a crash cut short is written over, one
 * that is damaged is found by its checksum when it is read. One process writes at a time.
 */
export class FeatureCache implements FeatureStore {
  readonly #folder: string
  readonly #group: FeatureGroup
  readonly #fs: SafeFs
  readonly #recordBytes: number
  readonly #places = new Map<string, RecordPlace>()
  readonly #waiting = new Map<string, Uint8Array>()
  readonly #damaged = new Set<string>()
  readonly #files = new Map<number, number>()
  #last: { shard: number; records: number }
  #flushedAt = performance.now()

  private constructor(folder: string, group: FeatureGroup, fs: SafeFs) {
    this.#folder = folder
    this.#group = group
    this.#fs = fs
    this.#recordBytes = recordBytes(group)
    this.#last = { shard: 0, records: 0 }
  }

  /** Opens the cache of a group under `root`, making it where it is not. */
  static async open(root: string, group: FeatureGroup, fs: SafeFs): Promise<FeatureCache> {
    const folder = join(root, groupName(group))
    const cache = new FeatureCache(folder, group, fs)
    await fs.folder(folder)
    await fs.sweep(folder)
    await fs.writeFile(join(folder, 'group.json'), `${JSON.stringify({ form: formVersion, ...group })}\n`)
    for (const { key, ...place } of await readRecords(folder, cache.#recordBytes)) cache.#places.set(key, place)
    const shards = await shardsOf(folder)
    const shard = shards.at(-1) ?? 0
    cache.#last = { shard, records: shards.length > 0 ? countRecords(join(folder, shardName(shard)), cache.#recordBytes) : 0 }
    return cache
  }

  get size(): number {
    return this.#places.size + this.#waiting.size
  }

  has(source: string): boolean {
    const key = this.#keyOf(source)
    return this.#waiting.has(key) || this.#places.has(key)
  }

  read(source: string): Uint8Array | null {
    const key = this.#keyOf(source)
    const waiting = this.#waiting.get(key)
    if (waiting) return waiting.subarray(headerBytes)
    const place = this.#places.get(key)
    if (!place) return null
    const record = this.#recordAt(place)
    if (record && isSoundRecord(record) && keyOf(record) === key) return recordContent(record)
    this.#places.delete(key)
    this.#damaged.add(key)
    return null
  }

  isDamaged(source: string): boolean {
    return this.#damaged.has(this.#keyOf(source))
  }

  async write(source: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length !== this.#recordBytes - headerBytes)
      throw new TypeError(`FeatureCache: ${bytes.length} bytes were given for a record of ${this.#recordBytes - headerBytes}`)
    const key = this.#keyOf(source)
    this.#waiting.set(key, makeRecord(key, bytes))
    this.#damaged.delete(key)
    const isDue = this.#waiting.size * this.#recordBytes >= flushBytes || performance.now() - this.#flushedAt >= flushEveryMs
    if (isDue) await this.flush()
  }

  async flush(): Promise<void> {
    const perShard = Math.max(1, Math.floor(shardBytes / this.#recordBytes))
    if (this.#waiting.size > 0) await this.#fs.folder(this.#folder) // somebody may have emptied the cache
    while (this.#waiting.size > 0) {
      if (this.#last.records >= perShard) this.#last = { shard: this.#last.shard + 1, records: 0 }
      const some = [...this.#waiting].slice(0, perShard - this.#last.records)
      const { shard, records } = this.#last
      await this.#fs.appendRecords(
        join(this.#folder, shardName(shard)),
        Buffer.concat(some.map(([, record]) => record)),
        records * this.#recordBytes,
      )
      this.#forget(shard)
      some.forEach(([key, record], i) => {
        this.#places.set(key, { shard, slot: records + i })
        if (this.#waiting.get(key) === record) this.#waiting.delete(key)
      })
      this.#last = { shard, records: records + some.length }
    }
    this.#flushedAt = performance.now()
  }

  async quarantine(items: readonly Quarantined[]): Promise<void> {
    const path = join(this.#folder, quarantineName)
    if (items.length === 0) await this.#fs.remove(path)
    else await this.#fs.writeFile(path, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  }

  [Symbol.dispose](): void {
    for (const shard of this.#files.keys()) this.#forget(shard)
  }

  #keyOf(source: string): string {
    return featureKey(this.#group, source)
  }

  /** The whole record; null where there is none any more. */
  #recordAt({ shard, slot }: RecordPlace): Buffer | null {
    try {
      let file = this.#files.get(shard)
      if (file === undefined) this.#files.set(shard, (file = openSync(join(this.#folder, shardName(shard)), 'r')))
      const record = Buffer.alloc(this.#recordBytes)
      return readSync(file, record, 0, record.length, slot * record.length) === record.length ? record : null
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'EIO')) return null
      throw error
    }
  }

  #forget(shard: number): void {
    const file = this.#files.get(shard)
    if (file === undefined) return
    this.#files.delete(shard)
    closeSync(file)
  }
}

export const quarantineName = 'quarantine.jsonl'

export function shardName(shard: number): string {
  return `${String(shard).padStart(5, '0')}.bin`
}

/** Numbers of a group's shards, in order. */
export async function shardsOf(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw error
  })
  return names.flatMap((name) => (/^\d{5,9}\.bin$/.test(name) ? [Number.parseInt(name, 10)] : [])).sort((a, b) => a - b)
}

/** Every whole record of a group, oldest first, by its header alone: of two with one key the later one counts. */
export async function readRecords(folder: string, sizeBytes: number): Promise<(RecordPlace & { key: string })[]> {
  const records: (RecordPlace & { key: string })[] = []
  const header = Buffer.alloc(headerBytes)
  for (const shard of await shardsOf(folder)) {
    const file = openSync(join(folder, shardName(shard)), 'r')
    try {
      const count = Math.floor(fstatSync(file).size / sizeBytes)
      for (let slot = 0; slot < count; slot++) {
        readSync(file, header, 0, headerBytes, slot * sizeBytes)
        if (header.readUInt32LE(0) === mark) records.push({ shard, slot, key: keyOf(header) })
      }
    } finally {
      closeSync(file)
    }
  }
  return records
}

/** The group whose folder this is; null for what is none of ours. */
export async function readGroup(folder: string): Promise<FeatureGroup | null> {
  try {
    return featureGroup.parse(JSON.parse(await readFile(join(folder, 'group.json'), 'utf8')))
  } catch {
    return null // of another form, damaged or not there: it holds nothing that is needed
  }
}

function countRecords(path: string, sizeBytes: number): number {
  const file = openSync(path, 'r')
  try {
    return Math.floor(fstatSync(file).size / sizeBytes)
  } finally {
    closeSync(file)
  }
}

function makeRecord(key: string, bytes: Uint8Array): Buffer {
  const record = Buffer.alloc(headerBytes + bytes.length)
  record.writeUInt32LE(mark, 0)
  record.write(key, 8, hashBytes, 'hex')
  record.set(bytes, headerBytes)
  record.writeUInt32LE(crc32(record.subarray(8)), 4)
  return record
}

/** The numbers of a record. */
export function recordContent(record: Buffer): Uint8Array {
  return record.subarray(headerBytes)
}

/** Whether a record is what was written. */
export function isSoundRecord(record: Buffer): boolean {
  return record.readUInt32LE(0) === mark && record.readUInt32LE(4) === crc32(record.subarray(8))
}

export function keyOf(record: Buffer): string {
  return record.toString('hex', 8, headerBytes)
}
