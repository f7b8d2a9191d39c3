import type { CurationItem, DuplicateGroup } from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Db } from './database.ts'

const idsShown = 100

/** Which items are alike, and which are still to be measured so that this can be told. */
export class AlikeStore {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Items that were never measured, or not in every way that there is now, with the files they came from. */
  unmeasured(): { id: ItemId; root: string; source: string; fileHash: string; copied: string | null }[] {
    return this.#db
      .prepare(
        `SELECT id, root, files.source AS source, fileHash, copied FROM items JOIN files ON files.itemId = items.id
         WHERE here AND (blur IS NULL OR watermark IS NULL) AND fileHash IS NOT NULL ORDER BY position`,
      )
      .all() as ReturnType<AlikeStore['unmeasured']>
  }

  /** What duplicates are found by: looks of every item, and its pixels as they were imported; a crop makes no other picture of it. */
  looks(): { row: number; looks: string | null; pixelHash: string }[] {
    return this.#db.prepare('SELECT row, looks, foundPixelHash AS pixelHash FROM items WHERE here ORDER BY row').all() as ReturnType<
      AlikeStore['looks']
    >
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

  duplicates({ leaks, offset, limit }: { leaks: boolean; offset: number; limit: number }): { total: number; groups: DuplicateGroup[] } {
    const leak = `count(DISTINCT CASE WHEN pick <> 'reject' THEN split END) > 1`
    const groups = `SELECT duplicateGroup AS "group", count(*) AS items, ${leak} AS leak, json_group_array(id) AS ids FROM curated
      WHERE here AND duplicateGroup IS NOT NULL GROUP BY duplicateGroup HAVING count(*) > 1 ${leaks ? `AND ${leak}` : ''}`
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
}
