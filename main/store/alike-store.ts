import type { CurationItem } from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Db } from './database.ts'

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
}
