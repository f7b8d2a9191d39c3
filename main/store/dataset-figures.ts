import {
  measureName,
  type BucketCount,
  type CurationFilter,
  type Histogram,
  type MeasureName,
  type Size,
  type TagCount,
} from '#contracts/curation.ts'
import type { DatasetSummary, LedgerEntry, LedgerState, SourceRoot } from '#contracts/dataset.ts'
import { bucketOf, frameOf } from '../media/aspect-buckets.ts'
import { leafHash, leafPrefix, snapshotName, type FrozenItem } from '../media/dataset-files.ts'
import type { Db } from './database.ts'
import type { ItemQuestions } from './item-questions.ts'
import { toCrop, toLists, type Row } from './item-rows.ts'
import { leakCountSql, type Condition } from './query/sql.ts'

/** A value of a field and how many items have it; '' where nothing is said. */
export interface Tally {
  value: string
  items: number
}

/** What a data set's card is made of. Counts leave out rejected items, which no training sees. */
export interface CardFacts {
  /** Pictures and clips. */
  items: number
  clips: number
  /** Of all clips together. */
  frames: number
  rejected: number
  splits: readonly Tally[]
  consents: readonly Tally[]
  licences: readonly Tally[]
  authors: readonly Tally[]
  origins: readonly Tally[]
  tags: readonly Tally[]
  captioned: number
  tagged: number
  measured: number
  /** Looked through for lettering, and those in which there is as much as a watermark has. */
  lookedThrough: number
  lettered: number
  /** How many pictures an epoch of training shows, and how many are shown more than once. */
  shown: number
  repeated: number
  duplicates: number
  leaks: number
  /** Smallest and largest original, in pixels. */
  sizes: { minWidth: number; maxWidth: number; minHeight: number; maxHeight: number } | null
}

type LeafRow = Pick<Row, 'caption' | 'captions' | 'tags' | 'crop' | 'frames' | 'frameRate'> &
  Pick<FrozenItem, 'id' | 'pixelHash' | 'split' | 'repeats'>

/** Counts over the data set, as its index has them. */
export class DatasetFigures {
  readonly #db: Db
  readonly #questions: ItemQuestions

  constructor(db: Db, questions: ItemQuestions) {
    this.#db = db
    this.#questions = questions
  }

  histogram(filter: CurationFilter, measure: MeasureName, bins: number): Histogram {
    const where = this.#questions.where(filter)
    const column = measureName.parse(measure) // one of a few names, never what somebody typed
    const ends = this.#db
      .prepare(
        `SELECT min(${column}) AS low, max(${column}) AS high, count(*) - count(${column}) AS missing FROM curated WHERE ${where.sql}`,
      )
      .get(where.values) as { low: number | null; high: number | null; missing: number }
    const counts = new Array<number>(bins).fill(0)
    const [from, to] = ends.low === null ? [0, 0] : shares.has(measure) ? [0, 1] : [ends.low, ends.high!]
    const steps = to > from ? bins / (to - from) : 0
    const rows = this.#db
      .prepare(
        `SELECT min(?, cast((${column} - ?) * ? AS INTEGER)) AS bin, count(*) AS items FROM curated
         WHERE ${where.sql} AND ${column} IS NOT NULL GROUP BY bin`,
      )
      .all(bins - 1, from, steps, ...where.values) as { bin: number; items: number }[]
    for (const { bin, items } of rows) counts[bin] = items
    return { measure, from, to, counts, missing: ends.missing }
  }

  buckets(filter: CurationFilter, sizes: readonly Size[]): BucketCount[] {
    const where = this.#questions.where(filter)
    const counts = sizes.map((size) => ({ ...size, items: 0, cropped: 0, enlarged: 0 }))
    const rows = this.#db
      .prepare(`SELECT width, height, frameWidth, frameHeight, crop FROM curated WHERE ${where.sql}`)
      .iterate(where.values) as Iterable<Pick<Row, 'width' | 'height' | 'crop'> & { frameWidth: number; frameHeight: number }>
    for (const { width, height, frameWidth, frameHeight, crop: part } of rows) {
      const count = counts[bucketOf(frameWidth, frameHeight, sizes)]!
      const frame = frameOf({ width, height, crop: toCrop(part), focus: null }, count)
      count.items++
      count.cropped += 1 - (frame.width * frame.height) / (width * height)
      if (frame.width < count.width || frame.height < count.height) count.enlarged++
    }
    return counts.map((count) => ({ ...count, cropped: count.items > 0 ? count.cropped / count.items : 0 }))
  }

  tags(text: string, limit: number): TagCount[] {
    return this.#db
      .prepare(
        `SELECT value AS tag, count(*) AS items FROM curated, json_each(tags) WHERE here AND tags <> '[]' AND instr(value, ?) > 0
         GROUP BY value ORDER BY items DESC, tag LIMIT ?`,
      )
      .all(text.toLowerCase(), limit) as TagCount[]
  }

  ledger(state: LedgerState | null, offset: number, limit: number): { total: number; entries: LedgerEntry[] } {
    const where = 'WHERE @state IS NULL OR state = @state'
    const total = this.#db.prepare(`SELECT count(*) FROM files ${where}`).pluck().get({ state }) as number
    const entries = this.#db
      .prepare(
        `SELECT source, state, reason, detail,
         coalesce(itemId, (SELECT id FROM items WHERE video = position AND here ORDER BY row LIMIT 1)) AS itemId FROM files ${where} ORDER BY position LIMIT @limit OFFSET @offset`,
      )
      .all({ state, limit, offset }) as LedgerEntry[]
    return { total, entries }
  }

  /** What a card tells of the items that are not rejected, or of those that meet a condition. */
  cardFacts({ sql, values }: Condition = { sql: `here AND pick <> 'reject'`, values: [] }): CardFacts {
    const kept = `FROM curated WHERE ${sql}`
    // Counted here in one pass: SQLite sorts all items to group them by five texts, and reads each list of tags anew.
    const rows = this.#db.prepare(`SELECT split, consent, licence, author, origin, tags ${kept}`).raw().iterate(values) as IterableIterator<
      string[]
    >
    const [splits, consents, licences, authors, origins, tagLists] = countColumns(rows, 6)
    const tags = new Map<string, number>()
    for (const [list, items] of tagLists!) for (const tag of JSON.parse(list) as string[]) count(tags, tag, items)
    const counts = this.#db
      .prepare(
        `SELECT count(*) AS items, count(frames) AS clips, coalesce(sum(frames), 0) AS frames, count(blur) AS measured, count(watermark) AS lookedThrough, coalesce(sum(watermark >= 0.5), 0) AS lettered, coalesce(sum(caption <> ''), 0) AS captioned, coalesce(sum(tags <> '[]'), 0) AS tagged,
           coalesce(sum(iif(${trained}, repeats, 0)), 0) AS shown, coalesce(sum(${trained} AND repeats > 1), 0) AS repeated,
           coalesce(sum(duplicate <> 'none'), 0) AS duplicates, coalesce(sum(${leakCountSql()}), 0) AS leaks,
           min(width) AS minWidth, max(width) AS maxWidth, min(height) AS minHeight, max(height) AS maxHeight ${kept}`,
      )
      .get(values) as Omit<CardFacts, 'sizes' | 'rejected'> & NonNullable<CardFacts['sizes']>
    const { items, clips, frames, measured, lookedThrough, lettered, captioned, tagged, shown, repeated, duplicates, leaks, ...sizes } =
      counts
    return {
      ...{ items, clips, frames, measured, lookedThrough, lettered, captioned, tagged, shown, repeated, duplicates, leaks },
      rejected: this.#db.prepare(`SELECT count(*) FROM curated WHERE here AND pick = 'reject'`).pluck().get() as number,
      splits: tallied(splits!),
      consents: tallied(consents!),
      licences: tallied(licences!),
      authors: tallied(authors!),
      origins: tallied(origins!),
      tags: tallied(tags),
      sizes: items > 0 ? sizes : null,
    }
  }

  describe(imageSize: number | null): Omit<DatasetSummary, 'roots'> & { roots: Omit<SourceRoot, 'state'>[] } {
    const items = this.#db
      .prepare(
        `SELECT count(*) AS items, count(frames) AS clips, coalesce(sum(split = 'validation'), 0) AS validationItems, coalesce(sum(caption <> ''), 0) AS captioned
        FROM curated WHERE here`,
      )
      .get() as Pick<DatasetSummary, 'items' | 'clips' | 'validationItems' | 'captioned'>
    const totals = this.#db
      .prepare(
        `SELECT count(*) AS found, coalesce(sum(state = 'used'), 0) AS used, coalesce(sum(state = 'partial'), 0) AS partial,
        coalesce(sum(state = 'rejected'), 0) AS rejected FROM files`,
      )
      .get() as DatasetSummary['totals']
    const roots = this.#db
      .prepare(
        `SELECT root, count(*) AS found, count(copied) AS copied,
         count(itemId) + (SELECT count(*) FROM items JOIN files AS cut ON cut.position = video WHERE here AND cut.root = files.root) AS items
         FROM files GROUP BY root ORDER BY min(position)`,
      )
      .all() as Omit<SourceRoot, 'state'>[]
    return { ...items, imageSize, totals, roots, snapshot: this.#snapshot() }
  }

  /** The name that the data set would be frozen under now. Only what changed since it was last asked for is read. */
  #snapshot(): string | null {
    const db = this.#db
    const known = db.prepare('SELECT hash FROM leaves WHERE prefix = ?').pluck()
    const keep = db.prepare('INSERT INTO leaves (prefix, hash) VALUES (?, ?)')
    const next = db.prepare(`SELECT substr(id, 1, ${leafPrefix}) FROM items WHERE id > ? ORDER BY id LIMIT 1`).pluck()
    const after = (prefix: string) => next.get(prefix) as string | undefined
    const inside = db.prepare(
      `SELECT id, pixelHash, split, caption, captions, tags, crop, repeats, frames, frameRate FROM curated
       WHERE here AND pick <> 'reject' AND id >= ? AND id < ? ORDER BY id`,
    )
    return db.transaction(() => {
      const leaves = new Map<string, string>()
      // From one leaf to the next along the index, past all the ids between.
      for (let prefix = after(''); prefix !== undefined; prefix = after(`${prefix}~`)) {
        let hash = known.get(prefix) as string | undefined
        if (hash === undefined) {
          const rows = inside.all(prefix, `${prefix}~`) as LeafRow[]
          hash =
            leafHash(
              rows.map(({ captions, tags, crop: part, frames, frameRate, ...row }) => ({
                ...{ ...row, ...toLists({ captions, tags }), crop: toCrop(part) },
                clip: frames === null ? null : { frames, frameRate },
              })),
            ) ?? ''
          keep.run(prefix, hash)
        }
        if (hash !== '') leaves.set(prefix, hash)
      }
      return snapshotName(leaves)
    })()
  }
}

/** How many rows have each value, for each of their columns. */
function countColumns(rows: Iterable<readonly string[]>, columns: number): Map<string, number>[] {
  const counts = Array.from({ length: columns }, () => new Map<string, number>())
  for (const row of rows) for (let i = 0; i < columns; i++) count(counts[i]!, row[i]!, 1)
  return counts
}

function count(counts: Map<string, number>, value: string, items: number): void {
  counts.set(value, (counts.get(value) ?? 0) + items)
}

/** The most frequent first. */
function tallied(counts: ReadonlyMap<string, number>): Tally[] {
  const tallies = [...counts].map(([value, items]) => ({ value, items }))
  return tallies.sort((a, b) => b.items - a.items || (a.value < b.value ? -1 : 1))
}

/** What a training on pictures shows, of items that are not rejected. */
const trained = `(frames IS NULL AND split = 'train')`

/** Measures whose histogram always goes from 0 to 1, so that a threshold keeps its place. */
const shares: ReadonlySet<MeasureName> = new Set(['blur', 'brightness', 'clippedDark', 'clippedBright', 'watermark'])
