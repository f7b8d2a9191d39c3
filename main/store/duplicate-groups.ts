import {
  membersShown,
  type CurationItem,
  type DuplicateGroup,
  type DuplicateList,
  type DuplicatesPage,
  type KeepRequest,
  type Pick,
} from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Db } from './database.ts'
import { itemColumns, toItem, type Row } from './item-rows.ts'

/** A mark that changes: what was said before, null for nothing, and what is to be said. */
export interface PickChange {
  id: ItemId
  was: Pick | null
  now: Pick | null
}

/** The order in which members are better: more pixels, sharper, there before. */
const better = 'megapixels DESC, blur IS NULL, blur, row'

const groupsSql = `SELECT duplicateGroup AS "group", min(row) AS firstRow, id, count(*) AS items,
    count(DISTINCT foundPixelHash) = 1 AS exact,
    count(DISTINCT CASE WHEN pick <> 'reject' THEN split END) > 1 AS leak,
    sum(pick <> 'reject') > 1 AND sum(pick = 'none') > 0 AS open
  FROM curated WHERE here AND duplicateGroup IS NOT NULL GROUP BY duplicateGroup HAVING count(*) > 1`

const inList = { open: 'open', leak: 'leak', all: '1' } satisfies Record<DuplicateList, string>

/** Items that are the same picture, group by group, and what to do about them. */
export class DuplicateGroups {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  page({ list, offset, limit }: { list: DuplicateList; offset: number; limit: number }): DuplicatesPage {
    const counts = this.#db
      .prepare(`SELECT coalesce(sum(open), 0) AS open, coalesce(sum(leak), 0) AS leak, count(*) AS "all" FROM (${groupsSql})`)
      .get() as DuplicatesPage['counts']
    const rows = this.#db
      .prepare(`SELECT * FROM (${groupsSql}) WHERE ${inList[list]} ORDER BY "group" LIMIT ? OFFSET ?`)
      .all(limit, offset) as { group: number; id: ItemId; items: number; exact: number; leak: number; open: number }[]
    const members = this.#members(rows.map(({ group }) => group))
    return {
      total: counts[list],
      groups: rows.map(({ group, id, items, exact, leak, open }) => ({
        ...{ id, items, kind: exact ? 'exact' : 'near', leak: leak === 1, open: open === 1 },
        members: members.get(group) ?? [],
        best: bestOf(members.get(group) ?? []),
      })),
      counts,
      unmeasured: this.#db.prepare(`SELECT count(*) FROM items WHERE here AND blur IS NULL AND frames IS NULL`).pluck().get() as number,
    }
  }

  /** Where in a list the group of an item stands. */
  place(id: ItemId, list: DuplicateList): number | null {
    const found = this.#db
      .prepare(
        `SELECT place FROM (SELECT "group", row_number() OVER (ORDER BY "group") - 1 AS place FROM (${groupsSql}) WHERE ${inList[list]})
         WHERE "group" = (SELECT duplicateGroup FROM curated WHERE here AND id = ?)`,
      )
      .pluck()
      .get(id)
    return (found as number | undefined) ?? null
  }

  /** What keeping changes, and in how many groups. A rejected item that is to be kept is taken back; nothing that is picked is rejected for being less good. */
  keeping(request: KeepRequest): { groups: number; changes: PickChange[] } {
    const which =
      request.keep === 'best-of-all'
        ? `open AND ${inList[request.list]}`
        : '"group" = (SELECT duplicateGroup FROM curated WHERE here AND id = ?)'
    const rows = this.#db
      .prepare(
        `SELECT curated.id, setPick AS was, pick, duplicateGroup AS "group",
           row_number() OVER (PARTITION BY duplicateGroup, pick <> 'reject' ORDER BY pick <> 'pick', ${better}) AS place
         FROM curated WHERE here AND duplicateGroup IN (SELECT "group" FROM (${groupsSql}) WHERE ${which})`,
      )
      .all(...(request.keep === 'best-of-all' ? [] : [request.id])) as {
      id: ItemId
      was: Pick | null
      pick: Pick
      group: number
      place: number
    }[]
    const wanted = ({ id, pick, place }: (typeof rows)[number]): Pick => {
      if (request.keep === 'group') return 'pick'
      if (request.keep === 'one') return id !== request.id ? 'reject' : pick === 'reject' ? 'none' : pick
      return pick === 'none' && place > 1 ? 'reject' : pick
    }
    const changes = rows.flatMap((row) => {
      const now = wanted(row)
      return now === row.pick ? [] : [{ id: row.id, was: row.was, now }]
    })
    return { groups: new Set(rows.map(({ group }) => group)).size, changes }
  }

  #members(groups: readonly number[]): Map<number, CurationItem[]> {
    const rows = this.#db
      .prepare(
        `SELECT ${itemColumns} FROM curated WHERE row IN (SELECT row FROM (
           SELECT row, row_number() OVER (PARTITION BY duplicateGroup ORDER BY ${better}) AS place FROM curated
           WHERE here AND duplicateGroup IN (SELECT value FROM json_each(?))) WHERE place <= ${membersShown}) ORDER BY ${better}`,
      )
      .all(JSON.stringify(groups)) as Row[]
    const members = new Map<number, CurationItem[]>()
    for (const row of rows) {
      const item = toItem(row, [])
      const group = members.get(item.duplicateGroup!) ?? []
      members.set(item.duplicateGroup!, group)
      group.push(item)
    }
    return members
  }
}

function bestOf(members: readonly CurationItem[]): DuplicateGroup['best'] {
  const picked = members.filter(({ pick }) => pick === 'pick')
  const first = members.find(({ pick }) => pick !== 'reject')
  return (picked.length > 0 ? picked : first ? [first] : []).map(({ id }) => id)
}
