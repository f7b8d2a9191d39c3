import type { LedgerReason, LedgerState } from '#contracts/dataset.ts'
import type { LedgerCounts, LedgerFile, LedgerFilter, ReasonCount } from '#contracts/ledger.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Db } from './database.ts'

/** A line of the ledger as its index has it. */
export interface LedgerPageRow {
  root: string
  source: string
  state: LedgerState
  reason: LedgerReason | null
  detail: string | null
  fileHash: string | null
  itemId: ItemId | null
  /** 1 where people said a caption themselves. */
  hasSaidCaption: 0 | 1
}

const columns = `files.root, files.source, files.state, files.reason, files.detail, fileHash, itemId, marks.setCaption IS NOT NULL AS hasSaidCaption
  FROM files LEFT JOIN items ON items.id = files.itemId LEFT JOIN marks ON marks.row = items.row`
const chosen = `(@state IS NULL OR files.state = @state) AND (@reason IS NULL OR files.reason = @reason)
  AND (@text = '' OR instr(lower(files.source), lower(@text)) > 0)`

/** The ledger, page by page. */
export class LedgerPages {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  list(filter: LedgerFilter, offset: number, limit: number): { total: number; rows: LedgerPageRow[] } {
    const total = this.#db.prepare(`SELECT count(*) FROM files WHERE ${chosen}`).pluck().get(filter) as number
    const rows = this.#db
      .prepare(
        `SELECT ${columns} WHERE files.position IN (SELECT position FROM files WHERE ${chosen} ORDER BY position LIMIT @limit OFFSET @offset)
        ORDER BY files.position`,
      )
      .all({ ...filter, offset, limit }) as LedgerPageRow[]
    return { total, rows }
  }

  /** All lines that a filter finds, one after the other; nothing else may use the index until they are read. */
  all(filter: LedgerFilter): Iterable<LedgerPageRow> {
    return this.#db.prepare(`SELECT ${columns} WHERE ${chosen} ORDER BY files.position`).iterate(filter) as Iterable<LedgerPageRow>
  }

  get({ root, source }: LedgerFile): LedgerPageRow | null {
    return (
      (this.#db.prepare(`SELECT ${columns} WHERE files.root = ? AND files.source = ?`).get(root, source) as LedgerPageRow | undefined) ??
      null
    )
  }

  count(text: string): LedgerCounts {
    const reasons = this.#db
      .prepare(
        `SELECT state, reason, count(*) AS files FROM files WHERE @text = '' OR instr(lower(source), lower(@text)) > 0
         GROUP BY state, reason ORDER BY files DESC, reason`,
      )
      .all({ text }) as ReasonCount[]
    const of = (state: LedgerState) => reasons.reduce((sum, one) => sum + (one.state === state ? one.files : 0), 0)
    const [used, partial, rejected] = [of('used'), of('partial'), of('rejected')]
    return { totals: { found: used + partial + rejected, used, partial, rejected }, reasons }
  }

  /** Some files of a source that had content when they were read, evenly apart. */
  sample(root: string, count: number): { source: string; fileHash: string }[] {
    const total = this.#db.prepare(`SELECT count(*) FROM files WHERE root = ? AND fileHash IS NOT NULL`).pluck().get(root) as number
    const step = Math.max(1, Math.floor(total / count))
    return this.#db
      .prepare(
        `SELECT source, fileHash FROM (SELECT source, fileHash, row_number() OVER (ORDER BY position) AS n FROM files WHERE root = ? AND fileHash IS NOT NULL)
         WHERE n % ? = ? LIMIT ?`,
      )
      .all(root, step, step === 1 ? 0 : 1, count) as { source: string; fileHash: string }[]
  }
}
