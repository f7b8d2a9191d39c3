import { open } from 'node:fs/promises'
import type { CurationTarget } from '#contracts/curation.ts'
import type { ExportedKind } from '#contracts/export.ts'
import { frozenItem, type FrozenItem } from '../media/dataset-files.ts'
import type { ExportItem } from '../media/export/export-item.ts'
import type { Origin } from '../media/original-picture.ts'
import type { Db } from './database.ts'
import type { ItemQuestions } from './item-questions.ts'
import { toLists } from './item-rows.ts'
import { readLines } from './line-reader.ts'
import type { Condition } from './query/sql.ts'

/** What is asked for: items of the index, or the lines of a snapshot's file. */
export type Asked = { target: CurationTarget } | { snapshotPath: string }

/** How many items of one kind were found, and what they agree to. */
export interface ExportCounts {
  items: number
  /** Of the other kind. */
  otherKind: number
  rejected: number
  consentRefused: number
  consentUnknown: number
}

interface Row {
  n: number
  id: ExportItem['id']
  at: number | null
  sizeBytes: number | null
  caption: string | null
  captions: string
  tags: string
  repeats: number | null
  [column: string]: unknown
}

const pageItems = 500
const columns = `c.source, c.caption, c.captions, c.tags, c.split, c.author, c.licence, c.consent, c.origin, coalesce(c.setRepeats, c.foundRepeats) AS repeats,
  c.foundConcept AS concept, c.width, c.height, c.shard, c.slot, c.pixelHash, c.frames, c.frameRate, c.clipShard, c.clipEdge`

/**
 * The items of an export, in its order: by their ids for training pixels, which depends on the content alone; in the order of the import for
 * originals, so that archives are read once through. All of it happens in one turn of the index: the list is kept in a table of this connection.
 */
export class ExportList {
  readonly #db: Db
  readonly #questions: ItemQuestions

  constructor(db: Db, questions: ItemQuestions) {
    this.#db = db
    this.#questions = questions
  }

  /** Looks the items up and does work on them, within one turn of the index. @throws StudioError invalid-request on a mistake in a query. */
  async with<T>(asked: Asked, order: 'id' | 'import', work: (listed: ListedItems) => Promise<T> | T): Promise<T> {
    const db = this.#db
    db.exec(`${dropTables}; CREATE TEMP TABLE asked (id TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER, sizeBytes INTEGER) WITHOUT ROWID;
      CREATE TEMP TABLE exported (n INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER, sizeBytes INTEGER)`)
    try {
      const rejected = 'target' in asked ? this.#find(asked.target) : await this.#readSnapshot(asked.snapshotPath)
      const found = 'SELECT asked.id, asked.kind, asked.at, asked.sizeBytes FROM asked'
      db.exec(
        order === 'id'
          ? `INSERT INTO exported (id, kind, at, sizeBytes) ${found} ORDER BY asked.id`
          : `INSERT INTO exported (id, kind, at, sizeBytes) ${found}
             LEFT JOIN (SELECT itemId, min(position) AS place FROM files WHERE itemId IS NOT NULL GROUP BY itemId) ON itemId = asked.id
             ORDER BY place IS NULL, place, asked.id`,
      )
      return await work(new ListedItems(db, rejected, 'snapshotPath' in asked ? asked.snapshotPath : null, order === 'import'))
    } finally {
      db.exec(dropTables)
    }
  }

  /** How many were found and are rejected. */
  #find(target: CurationTarget): number {
    const { sql, values } = this.#questions.targeted(target)
    this.#db.prepare(`INSERT INTO asked (id, kind) SELECT id, kind FROM curated WHERE ${sql} AND pick <> 'reject'`).run(values)
    return this.#db.prepare(`SELECT count(*) FROM curated WHERE ${sql} AND pick = 'reject'`).pluck().get(values) as number
  }

  async #readSnapshot(path: string): Promise<number> {
    const add = this.#db.prepare('INSERT OR IGNORE INTO asked (id, kind, at, sizeBytes) VALUES (?, ?, ?, ?)')
    for await (const { text, offset, sizeBytes } of readLines(path)) {
      const { id, clip } = frozenItem.parse(JSON.parse(text))
      add.run(id, clip ? 'clip' : 'picture', offset, sizeBytes)
    }
    return 0
  }
}

const dropTables = 'DROP TABLE IF EXISTS temp.asked; DROP TABLE IF EXISTS temp.exported'

/** Items that were looked up; only to be used while `ExportList.with` is at work. */
export class ListedItems {
  readonly #db: Db
  readonly #rejected: number
  readonly #snapshotPath: string | null
  readonly #withOriginals: boolean

  constructor(db: Db, rejected: number, snapshotPath: string | null, withOriginals: boolean) {
    this.#db = db
    this.#rejected = rejected
    this.#snapshotPath = snapshotPath
    this.#withOriginals = withOriginals
  }

  /** The items of a kind as a condition on `curated`. */
  condition(kind: ExportedKind): Condition {
    return { sql: 'curated.id IN (SELECT id FROM temp.exported WHERE kind = ?)', values: [kind] }
  }

  counts(kind: ExportedKind): ExportCounts {
    const counts = this.#db
      .prepare(
        `SELECT count(*) AS items, coalesce(sum(consent = 'refused'), 0) AS consentRefused, coalesce(sum(coalesce(consent, 'unknown') = 'unknown'), 0) AS consentUnknown,
           (SELECT count(*) FROM temp.exported WHERE kind <> @kind) AS otherKind
         FROM temp.exported e LEFT JOIN curated c ON c.id = e.id WHERE e.kind = @kind`,
      )
      .get({ kind }) as Omit<ExportCounts, 'rejected'>
    return { ...counts, rejected: this.#rejected }
  }

  /** All items in order, some at a time. */
  async *pages(): AsyncGenerator<ExportItem[]> {
    const page = this.#db.prepare(`${this.#select()} WHERE e.n > ? ORDER BY e.n LIMIT ${pageItems}`)
    for (let after = 0; ;) {
      const rows = page.all(after) as Row[]
      if (rows.length === 0) return
      yield await this.#items(rows)
      after = rows.at(-1)!.n
    }
  }

  /** Some of the items of a kind, evenly apart. */
  async sample(count: number, kind: ExportedKind): Promise<ExportItem[]> {
    const total = this.#db.prepare('SELECT count(*) FROM temp.exported WHERE kind = ?').pluck().get(kind) as number
    const wanted = Array.from({ length: Math.min(count, total) }, (_, i) => 1 + Math.floor(((i + 0.5) * total) / Math.min(count, total)))
    const places = `SELECT n FROM (SELECT n, row_number() OVER (ORDER BY n) AS place FROM temp.exported WHERE kind = ?)
      WHERE place IN (SELECT value FROM json_each(?))`
    return this.#items(
      this.#db.prepare(`${this.#select()} WHERE e.n IN (${places}) ORDER BY e.n`).all(kind, JSON.stringify(wanted)) as Row[],
    )
  }

  #select(): string {
    const original = this.#withOriginals ? ', f.root, f.source AS file, f.fileHash, f.copied' : ''
    const files = this.#withOriginals ? 'LEFT JOIN files f ON f.position = (SELECT min(position) FROM files WHERE itemId = e.id)' : ''
    return `SELECT e.n, e.id, e.at, e.sizeBytes, ${columns} ${original} FROM temp.exported e LEFT JOIN curated c ON c.id = e.id ${files}`
  }

  async #items(rows: readonly Row[]): Promise<ExportItem[]> {
    const frozen = await this.#frozen(rows)
    return rows.map((row, i) => {
      const { n: _n, at: _at, sizeBytes: _size, root, file, fileHash, copied, frames, frameRate, clipShard, clipEdge, ...rest } = row
      const original = root ? ({ root, source: file, fileHash, copied } as Origin) : null
      const known = row.caption === null ? unknown : toLists(row)
      const clip = frames === null ? null : { frames, frameRate, shard: clipShard, imageSize: clipEdge }
      return { ...rest, ...known, clip, ...frozen[i], original } as ExportItem
    })
  }

  /** What a snapshot says of items counts before what is said of them now. */
  async #frozen(rows: readonly Row[]): Promise<Partial<ExportItem>[]> {
    if (this.#snapshotPath === null) return []
    const handle = await open(this.#snapshotPath)
    try {
      const items: Partial<ExportItem>[] = []
      for (const { at, sizeBytes, repeats: saidNow } of rows) {
        const { buffer } = await handle.read(Buffer.alloc(sizeBytes!), 0, sizeBytes, at)
        const frozen: FrozenItem = frozenItem.parse(JSON.parse(buffer.toString('utf8')))
        const { caption, captions, tags, split, pixelHash, shard, slot } = frozen
        const clip = frozen.clip && {
          ...{ frames: frozen.clip.frames, frameRate: frozen.clip.frameRate },
          ...{ shard: frozen.clip.shard, imageSize: frozen.clip.imageSize },
        }
        const repeats = frozen.repeats > 1 || saidNow !== null ? frozen.repeats : null // null: nobody ever said it
        items.push({ caption, captions, tags, split, repeats, pixelHash, shard, slot, clip })
      }
      return items
    } finally {
      await handle.close()
    }
  }
}

/** What is known of an item of a snapshot that the index has never heard of. */
const unknown: Omit<ExportItem, 'id' | 'original' | 'clip' | 'split' | 'shard' | 'slot' | 'pixelHash'> = {
  source: '',
  caption: '',
  captions: [],
  tags: [],
  author: '',
  licence: '',
  consent: 'unknown',
  origin: '',
  repeats: null,
  concept: '',
  width: 0,
  height: 0,
}
