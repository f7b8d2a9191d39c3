import {
  marks,
  sortKey,
  type CurationHistory,
  type CurationItem,
  type CurationQuery,
  type EditRecord,
  type Marks,
  type Size,
} from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Origin } from '../media/original-picture.ts'
import { isList, markColumn, type MarkName } from './curation-journal.ts'
import type { Db } from './database.ts'
import type { ItemQuestions } from './item-questions.ts'
import { itemColumns, toItem, type Row } from './item-rows.ts'
import type { Condition } from './query/sql.ts'

/** What people say of an item; null where they say nothing. */
export type Said = { [K in MarkName]?: Marks[K] | null }

/** The words of an item, as far as rules work on them. */
export interface Words extends Pick<Marks, 'caption' | 'captions' | 'tags'> {
  id: ItemId
  source: string
}

/** An item with its words and the file that it was made from. */
export interface CaptionableItem extends Words, Origin {
  id: ItemId
  source: string
}

export type WordName = 'caption' | 'captions' | 'tags'

type Cell = string | number | null

/** The items of the data set, as its index has them. Every row can be made again from the data set's files, see `DatasetIndex`. */
export class ItemStore {
  readonly #db: Db
  readonly #questions: ItemQuestions

  constructor(db: Db, questions: ItemQuestions) {
    this.#db = db
    this.#questions = questions
  }

  query({ filter, ...page }: CurationQuery): { total: number; items: CurationItem[] } {
    return this.#page(this.#questions.where(filter), page, filter.buckets)
  }

  /** Items whose caption or file holds a text as it stands, by their ids. */
  search(text: string, offset: number, limit: number): { total: number; items: CurationItem[] } {
    return this.#page(this.#questions.holding(text), { sort: 'id', descending: false, offset, limit }, [])
  }

  #page(
    where: Condition,
    { sort, descending, offset, limit }: Omit<CurationQuery, 'filter'>,
    buckets: readonly Size[],
  ): { total: number; items: CurationItem[] } {
    const direction = descending ? 'DESC' : 'ASC'
    const key = sortKey.parse(sort) // one of a few names, never what somebody typed
    const order = `ORDER BY ${key === 'added' ? 'row' : key} ${direction} NULLS LAST, row ${direction}`
    const rows = this.#db
      .prepare(
        `SELECT ${itemColumns} FROM curated
         WHERE row IN (SELECT row FROM curated WHERE ${where.sql} ${order} LIMIT ? OFFSET ?) ${order}`,
      )
      .all(...where.values, limit, offset) as Row[]
    return { total: this.count(where), items: rows.map((row) => toItem(row, buckets)) }
  }

  get(id: ItemId): CurationItem | null {
    const row = this.#db.prepare(`SELECT ${itemColumns} FROM curated WHERE here AND id = ?`).get(id) as Row | undefined
    return row ? toItem(row, []) : null
  }

  /** Where the frames of a clip lie, how many they are and their edge; null where there is no such clip. */
  clipPlace(id: ItemId): { shard: string; slot: number; frames: number; imageSize: number; pixelHash: string } | null {
    const found = this.#db
      .prepare('SELECT clipShard AS shard, slot, frames, clipEdge AS imageSize, pixelHash FROM items WHERE here AND frames > 0 AND id = ?')
      .get(id)
    return (found as ReturnType<ItemStore['clipPlace']> | undefined) ?? null
  }

  /** The file that an item was made from. */
  origin(id: ItemId): Origin | null {
    const found = this.#db
      .prepare(
        'SELECT root, source, fileHash, copied FROM files WHERE itemId = ? OR position = (SELECT video FROM items WHERE id = ?) LIMIT 1',
      )
      .get(id, id)
    return (found as Origin | undefined) ?? null
  }

  /** Those of some items that are clips. */
  clips({ sql, values }: Condition): Set<ItemId> {
    return new Set(this.#db.prepare(`SELECT id FROM curated WHERE ${sql} AND frames IS NOT NULL`).pluck().all(values) as ItemId[])
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

  /** The caption that people said of an item; null where they said none. */
  saidCaption(id: ItemId): string | null {
    const found = this.#db.prepare('SELECT setCaption FROM curated WHERE here AND id = ?').pluck().get(id)
    return (found as string | null | undefined) ?? null
  }

  /** Some of the words of some items, as they count and as far as people said them; words that are not asked for are left empty. */
  words({ sql, values }: Condition, names: readonly WordName[]): (Words & { said: Said })[] {
    const rows = this.#db
      .prepare(`SELECT id, source, ${[...names, ...names.map(markColumn)].join(', ')} FROM curated WHERE ${sql}`)
      .raw()
      .all(values) as [ItemId, string, ...Cell[]][]
    return rows.map(([id, source, ...cells]) => ({
      ...{ id, source, caption: '', captions: [], tags: [] },
      ...(saidOf(names, cells) as Partial<Words>), // what counts is never null
      said: saidOf(names, cells.slice(names.length)),
    }))
  }

  /** The words and files of some items, in the order in which they came. */
  captionable(condition: Condition): CaptionableItem[] {
    const files = this.#db.prepare('SELECT root, source, fileHash, copied FROM files WHERE itemId = ? ORDER BY position LIMIT 1')
    return this.words(condition, ['caption', 'captions', 'tags']).flatMap(({ said: _said, ...words }) => {
      const origin = files.get(words.id) as Origin | undefined
      return origin ? [{ ...origin, ...words }] : []
    })
  }

  /** What counts for an item while people say nothing. */
  found(id: ItemId): Marks {
    const row = this.#db
      .prepare(
        `SELECT foundCaption, foundCaptions, foundTags, coalesce(foundSplit, autoSplit) AS split, foundAuthor, foundLicence, foundOrigin,
           coalesce(foundConsent, 'unknown') AS consent, coalesce(foundRepeats, 1) AS repeats FROM items WHERE id = ?`,
      )
      .get(id) as Record<string, string> & { repeats: number }
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
      consent: row['consent'],
      origin: row['foundOrigin'],
      repeats: row.repeats,
    })
  }

  /** A picture among some items that is smaller than a size. */
  smallerThan({ sql, values }: Condition, width: number, height: number): { source: string; width: number; height: number } | null {
    const row = this.#db
      .prepare(`SELECT source, width, height FROM curated WHERE ${sql} AND frames IS NULL AND (width < ? OR height < ?) LIMIT 1`)
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
}

function saidOf(names: readonly MarkName[], cells: readonly Cell[]): Said {
  const said: Record<string, unknown> = {}
  for (const [i, name] of names.entries()) {
    const cell = cells[i]!
    said[name] = cell === null || !isList(name) ? cell : cell === '[]' ? [] : (JSON.parse(cell as string) as unknown)
  }
  return said
}
