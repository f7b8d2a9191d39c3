import {
  crop,
  curationItem,
  marks,
  measureName,
  type BucketCount,
  type CurationFilter,
  type CurationHistory,
  type CurationItem,
  type CurationQuery,
  type CurationTarget,
  type DuplicateGroup,
  type EditRecord,
  type Histogram,
  type Marks,
  type MeasureName,
  type Size,
  type TagCount,
} from '#contracts/curation.ts'
import type { DatasetSummary, LedgerEntry, LedgerState } from '#contracts/dataset.ts'
import type { ItemId } from '#contracts/project.ts'
import { bucketOf, frameOf } from '../media/aspect-buckets.ts'
import { leafHash, leafPrefix, snapshotName, type FrozenItem } from '../media/dataset-files.ts'
import { isList, markColumn, type MarkName } from './curation-journal.ts'
import type { Db } from './database.ts'
import { asksWords, leakSql, whereOf, type Condition } from './query/sql.ts'
import { parseQuery } from './query/parse.ts'

/** What people say of an item; null where they say nothing. */
export type Said = { [K in MarkName]?: Marks[K] | null }

/** The words of an item, as far as rules work on them. */
export interface Words extends Pick<Marks, 'caption' | 'captions' | 'tags'> {
  id: ItemId
  source: string
}

type Cell = string | number | null

interface Row {
  id: string
  source: string
  state: string
  width: number
  height: number
  caption: string
  captions: string
  tags: string
  rating: number
  pick: string
  split: string
  setSplit: string | null
  crop: string
  author: string
  licence: string
  consent: string
  origin: string
  blur: number | null
  brightness: number
  clippedDark: number
  clippedBright: number
  focusX: number
  focusY: number
  nearest: number | null
  duplicate: string
  duplicateGroup: number | null
  leak: number
}

type LeafRow = Pick<Row, 'caption' | 'captions' | 'tags' | 'crop'> & Pick<FrozenItem, 'id' | 'pixelHash' | 'split'>

const itemColumns = `id, source, state, width, height, caption, captions, tags, rating, pick, split, setSplit, crop, author, licence, consent, origin,
  blur, brightness, clippedDark, clippedBright, focusX, focusY, nearest, duplicate, duplicateGroup, ${leakSql()} AS leak`

const square: Size = { width: 1, height: 1 }

/** Questions to the index of the data set. Every row can be made again from the data set's files, see `DatasetIndex`. */
export class ItemStore {
  readonly #db: Db
  #sizes: { text: string; sizes: Size[] } = { text: '', sizes: [] }

  constructor(db: Db) {
    this.#db = db
    db.function('bucketOf', { deterministic: true }, (width, height, sizes) =>
      bucketOf(width as number, height as number, this.#parsedSizes(sizes as string)),
    )
  }

  query({ filter, sort, descending, offset, limit }: CurationQuery): { total: number; items: CurationItem[] } {
    const where = this.#where(filter)
    const total = this.#db.prepare(`SELECT count(*) FROM curated WHERE ${where.sql}`).pluck().get(where.values) as number
    const direction = descending ? 'DESC' : 'ASC'
    const key = sort === 'added' ? 'row' : sort
    const rows = this.#db
      .prepare(
        `SELECT ${itemColumns} FROM curated WHERE row IN (SELECT row FROM curated WHERE ${where.sql}
           ORDER BY ${key} ${direction} NULLS LAST, row ${direction} LIMIT ? OFFSET ?)
         ORDER BY ${key} ${direction} NULLS LAST, row ${direction}`,
      )
      .all(...where.values, limit, offset) as Row[]
    return { total, items: rows.map((row) => toItem(row, filter.buckets)) }
  }

  get(id: ItemId): CurationItem | null {
    const row = this.#db.prepare(`SELECT ${itemColumns} FROM curated WHERE here AND id = ?`).get(id) as Row | undefined
    return row ? toItem(row, []) : null
  }

  /** Where an item's training pixels lie. */
  place(id: ItemId): { shard: number; slot: number } | null {
    const found = this.#db.prepare('SELECT shard, slot FROM curated WHERE here AND id = ?').get(id)
    return (found as { shard: number; slot: number } | undefined) ?? null
  }

  /** The rows that a target means, as a condition on `curated`. */
  targeted(target: CurationTarget): Condition {
    const among = (not: string, ids: readonly ItemId[]): Condition => ({
      sql: `id ${not} IN (SELECT value FROM json_each(?))`,
      values: [JSON.stringify(ids)],
    })
    if (target.kind === 'ids') {
      const { sql, values } = among('', target.ids)
      return { sql: `here AND ${sql}`, values }
    }
    const where = this.#where(target.filter)
    const except = among('NOT', target.except)
    return { sql: `${where.sql} AND ${except.sql}`, values: [...where.values, ...except.values] }
  }

  count({ sql, values }: Condition): number {
    return this.#db.prepare(`SELECT count(*) FROM curated WHERE ${sql}`).pluck().get(values) as number
  }

  /** What people say of some items, and null where they say nothing. */
  said({ sql, values }: Condition, names: readonly MarkName[]): { id: ItemId; said: Said }[] {
    const rows = this.#db
      .prepare(`SELECT id, ${names.map(markColumn).join(', ')} FROM curated WHERE ${sql}`)
      .raw()
      .all(values) as Cell[][]
    return rows.map(([id, ...cells]) => ({ id: id as ItemId, said: saidOf(names, cells) }))
  }

  /** Captions and tags of some items as they count, and as far as people said them. */
  words({ sql, values }: Condition): (Words & { said: Said })[] {
    const names = ['caption', 'captions', 'tags'] as const
    const rows = this.#db
      .prepare(`SELECT id, source, caption, captions, tags, setCaption, setCaptions, setTags FROM curated WHERE ${sql}`)
      .raw()
      .all(values) as [ItemId, string, string, string, string, ...Cell[]][]
    return rows.map(([id, source, caption, captions, tags, ...cells]) => ({
      ...{ id, source, caption, ...toLists({ captions, tags }) },
      said: saidOf(names, cells),
    }))
  }

  /** What counts for an item while people say nothing. */
  found(id: ItemId): Marks {
    const row = this.#db
      .prepare(
        `SELECT foundCaption, foundCaptions, foundTags, coalesce(foundSplit, autoSplit) AS split, foundAuthor, foundLicence, foundOrigin FROM items WHERE id = ?`,
      )
      .get(id) as Record<string, string>
    return marks.parse({
      caption: row['foundCaption'],
      captions: JSON.parse(row['foundCaptions']!) as unknown,
      tags: JSON.parse(row['foundTags']!) as unknown,
      rating: 0,
      pick: 'none',
      split: row['split'],
      crop: { kind: 'center' },
      author: row['foundAuthor'],
      licence: row['foundLicence'],
      consent: 'unknown',
      origin: row['foundOrigin'],
    })
  }

  /** One of some items that is smaller than a size. */
  smallerThan({ sql, values }: Condition, width: number, height: number): { source: string; width: number; height: number } | null {
    const row = this.#db
      .prepare(`SELECT source, width, height FROM curated WHERE ${sql} AND (width < ? OR height < ?) LIMIT 1`)
      .get(...values, width, height)
    return (row as { source: string; width: number; height: number } | undefined) ?? null
  }

  history(): CurationHistory {
    const one = (sql: string): EditRecord | null => {
      const row = this.#db.prepare(sql).get() as (Omit<EditRecord, 'fields'> & { fields: string }) | undefined
      return row
        ? { seq: row.seq, kind: row.kind, fields: JSON.parse(row.fields) as EditRecord['fields'], items: row.items, at: row.at }
        : null
    }
    return {
      undo: one(`SELECT * FROM edits WHERE state = 'done' ORDER BY seq DESC LIMIT 1`),
      redo: one(`SELECT * FROM edits WHERE state = 'undone' ORDER BY seq LIMIT 1`),
    }
  }

  histogram(filter: CurationFilter, measure: MeasureName, bins: number): Histogram {
    const where = this.#where(filter)
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
    const where = this.#where(filter)
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

  duplicates({ leaks, offset, limit }: { leaks: boolean; offset: number; limit: number }): { total: number; groups: DuplicateGroup[] } {
    const groups = `SELECT duplicateGroup AS "group", count(*) AS items, count(DISTINCT split) > 1 AS leak, json_group_array(id) AS ids FROM curated
      WHERE here AND duplicateGroup IS NOT NULL GROUP BY duplicateGroup HAVING count(*) > 1 ${leaks ? 'AND count(DISTINCT split) > 1' : ''}`
    const total = this.#db.prepare(`SELECT count(*) FROM (${groups})`).pluck().get() as number
    const rows = this.#db.prepare(`${groups} ORDER BY duplicateGroup LIMIT ? OFFSET ?`).all(limit, offset) as {
      group: number
      items: number
      leak: number
      ids: string
    }[]
    return {
      total,
      groups: rows.map(({ leak, ids, ...row }) => ({ ...row, leak: leak === 1, ids: (JSON.parse(ids) as ItemId[]).slice(0, idsShown) })),
    }
  }

  /** What duplicates are found by: looks and pixels of every item. */
  looks(): { row: number; looks: string | null; pixelHash: string }[] {
    return this.#db.prepare('SELECT row, looks, pixelHash FROM items WHERE here ORDER BY row').all() as ReturnType<ItemStore['looks']>
  }

  /** Whether duplicates were looked for since the index was made. */
  knowsAlike(): boolean {
    return this.#db.prepare(`SELECT 1 FROM facts WHERE name = 'dataset.alike'`).get() !== undefined
  }

  /** Which items are alike, in place of what was known before. */
  setAlike(alike: readonly { row: number; nearest: number | null; duplicate: CurationItem['duplicate']; group: number | null }[]): void {
    const add = this.#db.prepare('INSERT INTO alike (row, nearest, duplicate, duplicateGroup) VALUES (@row, @nearest, @duplicate, @group)')
    this.#db.transaction(() => {
      this.#db.exec(`DELETE FROM alike; INSERT OR REPLACE INTO facts (name, value) VALUES ('dataset.alike', 'found')`)
      for (const one of alike) add.run(one)
    })()
  }

  /** Items that were never measured, with the files they came from. */
  unmeasured(): { id: ItemId; root: string; source: string; fileHash: string }[] {
    return this.#db
      .prepare(
        `SELECT id, root, files.source AS source, fileHash FROM items JOIN files ON files.itemId = items.id
         WHERE here AND blur IS NULL AND fileHash IS NOT NULL ORDER BY position`,
      )
      .all() as ReturnType<ItemStore['unmeasured']>
  }

  ledger(state: LedgerState | null, offset: number, limit: number): { total: number; entries: LedgerEntry[] } {
    const where = 'WHERE @state IS NULL OR state = @state'
    const total = this.#db.prepare(`SELECT count(*) FROM files ${where}`).pluck().get({ state }) as number
    const entries = this.#db
      .prepare(`SELECT source, state, reason, detail, itemId FROM files ${where} ORDER BY position LIMIT @limit OFFSET @offset`)
      .all({ state, limit, offset }) as LedgerEntry[]
    return { total, entries }
  }

  describe(imageSize: number | null): DatasetSummary {
    const items = this.#db
      .prepare(
        `SELECT count(*) AS items, coalesce(sum(split = 'validation'), 0) AS validationItems, coalesce(sum(caption <> ''), 0) AS captioned
        FROM curated WHERE here`,
      )
      .get() as Pick<DatasetSummary, 'items' | 'validationItems' | 'captioned'>
    const totals = this.#db
      .prepare(
        `SELECT count(*) AS found, coalesce(sum(state = 'used'), 0) AS used, coalesce(sum(state = 'partial'), 0) AS partial,
        coalesce(sum(state = 'rejected'), 0) AS rejected FROM files`,
      )
      .get() as DatasetSummary['totals']
    return { ...items, imageSize, totals, snapshot: this.#snapshot() }
  }

  /** The name that the data set would be frozen under now. Only what changed since it was last asked for is read. */
  #snapshot(): string | null {
    const db = this.#db
    const known = db.prepare('SELECT hash FROM leaves WHERE prefix = ?').pluck()
    const keep = db.prepare('INSERT INTO leaves (prefix, hash) VALUES (?, ?)')
    const prefixes = db.prepare(`SELECT DISTINCT substr(id, 1, ${leafPrefix}) FROM items ORDER BY 1`).pluck().all() as string[]
    const inside = db.prepare(
      `SELECT id, pixelHash, split, caption, captions, tags, crop FROM curated
       WHERE here AND pick <> 'reject' AND id >= ? AND id < ? ORDER BY id`,
    )
    return db.transaction(() => {
      const leaves = new Map<string, string>()
      for (const prefix of prefixes) {
        let hash = known.get(prefix) as string | undefined
        if (hash === undefined) {
          const rows = inside.all(prefix, `${prefix}~`) as LeafRow[]
          hash =
            leafHash(
              rows.map(({ captions, tags, crop: part, ...row }) => ({ ...row, ...toLists({ captions, tags }), crop: toCrop(part) })),
            ) ?? ''
          keep.run(prefix, hash)
        }
        if (hash !== '') leaves.set(prefix, hash)
      }
      return snapshotName(leaves)
    })()
  }

  #where(filter: CurationFilter): Condition {
    const condition = whereOf(filter)
    if (asksWords(parseQuery(filter.text))) this.#indexText()
    return { sql: `here AND ${condition.sql}`, values: condition.values }
  }

  /** The text index is brought up when words are asked for, not with every edit: an edit of all captions then costs half. */
  #indexText(): void {
    const db = this.#db
    const stale = db.prepare('SELECT count(*) FROM marks WHERE textStale').pluck().get() as number
    if (stale === 0) return
    const all = (db.prepare('SELECT count(*) FROM marks').pluck().get() as number) < 2 * stale // then it is made anew, which is faster
    db.transaction(() => {
      if (all) db.exec(`INSERT INTO itemText (itemText) VALUES ('delete-all')`)
      else db.exec('DELETE FROM itemText WHERE rowid IN (SELECT row FROM marks WHERE textStale)')
      db.exec(`INSERT INTO itemText (rowid, caption, captions, tags, source) SELECT row, caption, captions, tags, source FROM curated
          WHERE here ${all ? '' : 'AND textStale'};
        UPDATE marks SET textStale = 0 WHERE textStale`)
    })()
  }

  #parsedSizes(text: string): Size[] {
    if (this.#sizes.text !== text) this.#sizes = { text, sizes: JSON.parse(text) as Size[] }
    return this.#sizes.sizes
  }
}

/** Measures whose histogram always goes from 0 to 1, so that a threshold keeps its place. */
const shares: ReadonlySet<MeasureName> = new Set(['blur', 'brightness', 'clippedDark', 'clippedBright'])
const idsShown = 100

function saidOf(names: readonly MarkName[], cells: readonly Cell[]): Said {
  return Object.fromEntries(
    names.map((name, i) => [name, cells[i] !== null && isList(name) ? (JSON.parse(cells[i] as string) as unknown) : cells[i]]),
  )
}

function toCrop(text: string): CurationItem['crop'] {
  return text === centered ? { kind: 'center' } : crop.parse(JSON.parse(text))
}

const centered = '{"kind":"center"}'

function toLists({ captions, tags }: Pick<Row, 'captions' | 'tags'>): Pick<Marks, 'captions' | 'tags'> {
  return { captions: JSON.parse(captions) as string[], tags: JSON.parse(tags) as string[] }
}

function toItem(row: Row, sizes: readonly Size[]): CurationItem {
  const { setSplit, leak, blur, brightness, clippedDark, clippedBright, focusX, focusY, captions, tags, crop: part, ...rest } = row
  const measures = blur === null ? null : { blur, brightness, clippedDark, clippedBright, focus: { x: focusX, y: focusY } }
  const framed = { width: row.width, height: row.height, crop: toCrop(part), focus: measures?.focus ?? null }
  const inside = framed.crop.kind === 'rectangle' ? framed.crop : framed
  const bucket = sizes[bucketOf(inside.width, inside.height, sizes)] ?? null
  return curationItem.parse({
    ...rest,
    ...toLists({ captions, tags }),
    crop: framed.crop,
    splitByHand: setSplit !== null,
    measures,
    leak: leak === 1,
    bucket,
    frame: frameOf(framed, bucket ?? square),
  })
}
