import type { Statement } from 'better-sqlite3'
import { rectangle, type Crop, type CropsLeft, type Measures, type Rectangle } from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { OriginalAway } from '#contracts/xray.ts'
import { centered } from '../media/training-crop.ts'
import { firstCropShard, type PixelPlace } from './crop-log.ts'
import type { Db } from './database.ts'
import { toCrop } from './item-rows.ts'

/** An item whose pixels are not those of its crop, with what is needed to make them. */
export interface Uncropped extends PixelPlace {
  row: number
  id: ItemId
  root: string
  source: string
  fileHash: string
  copied: string | null
  background: string
  width: number
  height: number
  crop: Crop
  /** The crop as the index has it. */
  cropText: string
  focus: Measures['focus'] | null
  /** What its pixels are made of now; null for the middle. */
  area: Rectangle | null
  /** Why they could not be made when that was last tried for this crop. */
  away: OriginalAway | null
  /** Pixels of this crop that are there from before. */
  known: (PixelPlace & { area: Rectangle | null }) | null
}

/** The pixels of an item, what they were made of, and whether that is its crop. */
export interface ItemPixels extends PixelPlace {
  area: Rectangle | null
}

type Row = Omit<Uncropped, 'crop' | 'focus' | 'area' | 'known'> & {
  focusX: number | null
  focusY: number | null
  area: string | null
  knownShard: number | null
  knownSlot: number
  knownHash: string
  knownArea: string | null
  foundShard: number
  foundSlot: number
  foundPixelHash: string
}

const wanted = `coalesce(setCrop, '${centered}')`
const isWaiting = `here AND frames IS NULL AND ${wanted} <> coalesce(madeCrop, '${centered}')`
const isAway = `here AND frames IS NULL AND madeAway IS NOT NULL AND ${wanted} = madeCrop`

/** Which items are to be cropped anew, as the index has it. */
export class CropStore {
  readonly #db: Db
  /** Prepared once, and without the view: a page asks for hundreds of pictures at a time, and the view's columns take ten times as long. */
  readonly #pixels: Statement<[ItemId]>

  constructor(db: Db) {
    this.#db = db
    this.#pixels = db.prepare('SELECT shard, slot, pixelHash, madeArea AS area FROM items WHERE here AND frames IS NULL AND id = ?')
  }

  left(): CropsLeft {
    const count = (condition: string) =>
      this.#db.prepare(`SELECT count(*) FROM items JOIN marks ON marks.row = items.row WHERE ${condition}`).pluck().get() as number
    return { waiting: count(isWaiting), away: count(isAway) }
  }

  /** Items that wait, and on request those whose originals were away, behind a row of the index; of some ids only where they are given. */
  uncropped({
    ids,
    after = 0,
    limit,
    again = false,
  }: {
    ids?: readonly ItemId[]
    after?: number
    limit: number
    again?: boolean
  }): Uncropped[] {
    const rows = this.#db
      .prepare(
        `SELECT items.row, items.id, files.root, files.source, files.fileHash, files.copied, background, width, height, ${wanted} AS cropText,
           focusX, focusY, madeArea AS area, madeAway AS away, items.shard, items.slot, items.pixelHash, foundShard, foundSlot, foundPixelHash,
           cropped.shard AS knownShard, cropped.slot AS knownSlot, cropped.pixelHash AS knownHash, cropped.area AS knownArea
         FROM items JOIN marks ON marks.row = items.row
         JOIN files ON files.position = (SELECT min(position) FROM files WHERE itemId = items.id)
         LEFT JOIN cropped ON cropped.id = items.id AND cropped.crop = ${wanted}
         WHERE items.row > @after AND files.fileHash IS NOT NULL AND (${isWaiting} ${again ? `OR ${isAway}` : ''})
           ${ids ? 'AND items.id IN (SELECT value FROM json_each(@ids))' : ''} ORDER BY items.row LIMIT @limit`,
      )
      .all({ after, limit, ...(ids ? { ids: JSON.stringify(ids) } : {}) }) as Row[]
    return rows.map(toUncropped)
  }

  /** Of some items those that still have, in the index as it is now, the crop that they had. */
  stillWanted(rows: readonly Pick<Uncropped, 'id' | 'cropText'>[]): ReadonlySet<ItemId> {
    const ask = this.#db.prepare(
      `SELECT 1 FROM items JOIN marks ON marks.row = items.row WHERE here AND id = ? AND ${wanted} = ?
         AND (madeAway IS NOT NULL OR ${wanted} <> coalesce(madeCrop, '${centered}'))`,
    )
    return new Set(rows.flatMap(({ id, cropText }) => (ask.get(id, cropText) ? [id] : [])))
  }

  /** Where the next pixels go that are made anew, in shards of at most `perShard`. */
  nextPlace(perShard: number): { shard: number; slot: number } {
    const last = this.#db
      .prepare('SELECT shard, slot FROM cropped WHERE shard >= ? ORDER BY shard DESC, slot DESC LIMIT 1')
      .get(firstCropShard) as { shard: number; slot: number } | undefined
    if (!last) return { shard: firstCropShard, slot: 0 }
    return last.slot + 1 < perShard ? { shard: last.shard, slot: last.slot + 1 } : { shard: last.shard + 1, slot: 0 }
  }

  pixels(id: ItemId): ItemPixels | null {
    const found = this.#pixels.get(id) as (PixelPlace & { area: string | null }) | undefined
    return found ? { ...found, area: toArea(found.area) } : null
  }

  /** What is put behind an item where it is transparent, as #rrggbb. */
  background(id: ItemId): string {
    return this.#db.prepare('SELECT background FROM items WHERE id = ?').pluck().get(id) as string
  }
}

function toUncropped(row: Row): Uncropped {
  const { focusX, focusY, area, knownShard, knownSlot, knownHash, knownArea, foundShard, foundSlot, foundPixelHash, ...rest } = row
  const found = { shard: foundShard, slot: foundSlot, pixelHash: foundPixelHash, area: null }
  const before = knownShard === null ? null : { shard: knownShard, slot: knownSlot, pixelHash: knownHash, area: toArea(knownArea) }
  return {
    ...rest,
    crop: toCrop(row.cropText),
    focus: focusX === null || focusY === null ? null : { x: focusX, y: focusY },
    area: toArea(area),
    known: row.cropText === centered ? found : before,
  }
}

function toArea(text: string | null): Rectangle | null {
  return text === null ? null : rectangle.parse(JSON.parse(text))
}
