import {
  membersShown,
  type CurationItem,
  type DuplicateGroup,
  type DuplicateList,
  type DuplicatesPage,
  type DuplicatesQuery,
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

/** The order in which members are better: more pixels, sharper as far as eyes can tell, a file without loss, there before. */
const better = `megapixels DESC, blur IS NULL, round(blur * 20), NOT (source LIKE '%.png' OR source LIKE '%.tif' OR source LIKE '%.tiff'), row`

interface Group {
  group: number
  id: ItemId
  items: number
  exact: number
  leak: number
  open: number
}

/** Read from the alike alone, so that it takes as long as there are duplicates, however large the data set is. */
const groupsSql = `WITH alikes AS (
    SELECT duplicateGroup AS "group", items.row AS row, id, foundPixelHash, coalesce(setPick, 'none') AS pick,
      coalesce(setSplit, foundSplit, autoSplit) AS split
    FROM alike CROSS JOIN items ON items.row = alike.row CROSS JOIN marks ON marks.row = alike.row
    WHERE duplicateGroup IS NOT NULL AND here)
  SELECT "group", min(row), id, count(*) AS items,
    min(foundPixelHash) = max(foundPixelHash) AS exact,
    coalesce(min(split) FILTER (WHERE pick <> 'reject') <> max(split) FILTER (WHERE pick <> 'reject'), 0) AS leak,
    sum(pick <> 'reject') > 1 AND sum(pick = 'none') > 0 AS open
  FROM alikes GROUP BY "group" HAVING count(*) > 1 ORDER BY "group"`

const isIn = { open: ({ open }) => open === 1, leak: ({ leak }) => leak === 1, all: () => true } satisfies Record<
  DuplicateList,
  (group: Group) => boolean
>

/** Items that are the same picture, group by group, and what to do about them. */
export class DuplicateGroups {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  page({ list, offset, limit }: DuplicatesQuery): DuplicatesPage {
    const all = this.#groups()
    const listed = all.filter(isIn[list])
    const rows = listed.slice(offset, offset + limit)
    const members = this.#members(rows.map(({ group }) => group))
    return {
      total: listed.length,
      groups: rows.map(({ group, id, items, exact, leak, open }) => ({
        ...{ id, items, kind: exact ? 'exact' : 'near', leak: leak === 1, open: open === 1 },
        members: members.get(group) ?? [],
        best: bestOf(members.get(group) ?? []),
      })),
      counts: { open: all.filter(isIn.open).length, leak: all.filter(isIn.leak).length, all: all.length },
      unmeasured: this.#db.prepare(`SELECT count(*) FROM items WHERE here AND blur IS NULL AND frames IS NULL`).pluck().get() as number,
    }
  }

  /** Where in a list the group of an item stands. */
  place(id: ItemId, list: DuplicateList): number | null {
    const group = this.#groupOf(id)
    const place = this.#groups()
      .filter(isIn[list])
      .findIndex((one) => one.group === group)
    return place < 0 ? null : place
  }

  /** What keeping changes, and in how many groups. A rejected item that is to be kept is taken back; nothing that is picked is rejected for being less good. */
  keeping(request: KeepRequest): { groups: number; changes: PickChange[] } {
    const group = request.keep === 'best-of-all' ? null : this.#groupOf(request.id)
    const meant = this.#groups().filter((one) =>
      request.keep === 'best-of-all' ? isIn.open(one) && isIn[request.list](one) : one.group === group,
    )
    const rows = this.#db
      .prepare(
        `SELECT curated.id, setPick AS was, pick,
           row_number() OVER (PARTITION BY duplicateGroup, pick <> 'reject' ORDER BY pick <> 'pick', ${better}) AS place
         FROM curated WHERE here AND row IN (SELECT row FROM alike WHERE duplicateGroup IN (SELECT value FROM json_each(?)))`,
      )
      .all(JSON.stringify(meant.map((one) => one.group))) as { id: ItemId; was: Pick | null; pick: Pick; place: number }[]
    const wanted = ({ id, pick, place }: (typeof rows)[number]): Pick => {
      if (request.keep === 'group') return 'pick'
      if (request.keep === 'one') return id !== request.id ? 'reject' : pick === 'reject' ? 'none' : pick
      return pick === 'none' && place > 1 ? 'reject' : pick
    }
    const changes = rows.flatMap((row) => {
      const now = wanted(row)
      return now === row.pick ? [] : [{ id: row.id, was: row.was, now }]
    })
    return { groups: meant.length, changes }
  }

  #groups(): Group[] {
    return this.#db.prepare(groupsSql).all() as Group[]
  }

  #groupOf(id: ItemId): number | null {
    return this.#db.prepare('SELECT duplicateGroup FROM curated WHERE here AND id = ?').pluck().get(id) as number | null
  }

  #members(groups: readonly number[]): Map<number, CurationItem[]> {
    const rows = this.#db
      .prepare(
        `SELECT ${itemColumns} FROM curated WHERE row IN (SELECT row FROM (
           SELECT row, row_number() OVER (PARTITION BY duplicateGroup ORDER BY ${better}) AS place FROM curated
           WHERE here AND row IN (SELECT row FROM alike WHERE duplicateGroup IN (SELECT value FROM json_each(?)))) WHERE place <= ${membersShown}) ORDER BY ${better}`,
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
