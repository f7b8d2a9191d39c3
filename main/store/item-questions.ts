import type { CurationFilter, CurationTarget, Size } from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import { bucketOf } from '../media/aspect-buckets.ts'
import type { Db } from './database.ts'
import { parseQuery } from './query/parse.ts'
import { asksWords, holds, whereOf, type Condition } from './query/sql.ts'

/** Turns what people ask for into conditions on the view `curated`, with what these need: the text index and the choice of buckets. */
export class ItemQuestions {
  readonly #db: Db
  #sizes: { text: string; sizes: Size[] } = { text: '', sizes: [] }

  constructor(db: Db) {
    this.#db = db
    db.function('bucketOf', { deterministic: true }, (width, height, sizes) =>
      bucketOf(width as number, height as number, this.#parsedSizes(sizes as string)),
    )
  }

  /** @throws StudioError invalid-request on a mistake in the question. */
  where(filter: CurationFilter): Condition {
    const condition = whereOf(filter)
    if (asksWords(parseQuery(filter.text))) this.#indexText()
    return { sql: `here AND ${condition.sql}`, values: condition.values }
  }

  /** Items whose caption or file holds a text, whatever that means in the query language. */
  holding(text: string): Condition {
    const { sql, values } = holds(['caption', 'source'], text)
    return { sql: `here AND ${sql}`, values }
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
    const where = this.where(target.filter)
    const except = among('NOT', target.except)
    return { sql: `${where.sql} AND ${except.sql}`, values: [...where.values, ...except.values] }
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
