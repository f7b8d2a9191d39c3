import {
  galleryItem,
  type GalleryDay,
  type GalleryFilter,
  type GalleryItem,
  type GalleryQuery,
  type GalleryTarget,
} from '#contracts/gallery.ts'
import type { PictureId } from '#contracts/project.ts'
import type { PictureRecord } from '../media/write-image.ts'
import type { Db } from './database.ts'
import type { Marks, PictureMarks } from './picture-marks.ts'

interface Row {
  id: string
  jobId: string | null
  idx: number
  createdAt: string
  width: number
  height: number
  file: string
  settings: string
  modelName: string
  checkpointHash: string
  rating: number
  pick: string
  trashed: number
}

type Marked = Pick<GalleryItem, 'id' | 'rating' | 'pick' | 'trashed'>

/** Behind every time as it is written. */
const endOfTime = 'Z'

/** Changes of marks that can be taken back, while the project is open. */
const undoDepth = 50

/** The condition of what a filter finds, with the values of `valuesOf`: no more than is asked for, so that where nothing is, an index alone has the answer. */
function found({ text, minRating, pick }: GalleryFilter): string {
  const conditions = ['trashed = @trashed']
  if (minRating > 0) conditions.push('rating >= @minRating')
  if (pick !== null) conditions.push('pick = @pick')
  if (text !== '') conditions.push("prompt LIKE @like ESCAPE '\\'")
  return conditions.join(' AND ')
}

function valuesOf({ text, minRating, pick, trashed }: GalleryFilter) {
  return { trashed: Number(trashed), minRating, pick, like: `%${text.replace(/[\\%_]/g, '\\$&')}%` }
}

/** The gallery's index: every row can be made again from the picture it points to. */
export class GalleryStore {
  readonly #db: Db
  readonly #marks: PictureMarks
  readonly #undo: (readonly Marked[])[] = []

  constructor(db: Db, marks: PictureMarks) {
    this.#db = db
    this.#marks = marks
  }

  /** Adds a picture; one that is there already (the same job and index) stays as it is. */
  add(record: PictureRecord, file: string): GalleryItem {
    this.#db
      .prepare(
        `INSERT INTO pictures (id, jobId, idx, createdAt, width, height, file, settings, prompt, modelName, checkpointHash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .run(
        record.id,
        record.jobId,
        record.index,
        record.createdAt,
        record.width,
        record.height,
        file,
        JSON.stringify(record.settings),
        record.settings.prompt,
        record.modelName,
        record.checkpointHash,
      )
    return (
      this.get(record.id as PictureId) ??
      toItem(this.#db.prepare('SELECT * FROM pictures WHERE jobId = ? AND idx = ?').get(record.jobId, record.index) as Row)
    )
  }

  /** Adds pictures whose files were found, all of them at once. */
  addFound(found: readonly { record: PictureRecord; file: string }[]): PictureId[] {
    return this.#db.transaction(() => found.map(({ record, file }) => this.add(record, file).id))()
  }

  get(id: PictureId): GalleryItem | null {
    const row = this.#db.prepare('SELECT * FROM pictures WHERE id = ?').get(id) as Row | undefined
    return row ? toItem(row) : null
  }

  /** Path of the picture inside the project. */
  file(id: PictureId): string | null {
    return (this.#db.prepare('SELECT file FROM pictures WHERE id = ?').pluck().get(id) as string | undefined) ?? null
  }

  files(): Set<string> {
    return new Set(this.#db.prepare('SELECT file FROM pictures').pluck().all() as string[])
  }

  /** Indices of a job's pictures that are drawn already. */
  drawn(jobId: string): Set<number> {
    return new Set(this.#db.prepare('SELECT idx FROM pictures WHERE jobId = ?').pluck().all(jobId) as number[])
  }

  list({ offset, limit, ...filter }: GalleryQuery): { total: number; items: GalleryItem[] } {
    const values = valuesOf(filter)
    const total = this.#db
      .prepare(`SELECT count(*) FROM pictures WHERE ${found(filter)}`)
      .pluck()
      .get(values) as number
    const rows = this.#db
      .prepare(`SELECT * FROM pictures WHERE ${found(filter)} ORDER BY createdAt DESC, idx DESC LIMIT @limit OFFSET @offset`)
      .all({ ...values, limit, offset })
    return { total, items: (rows as Row[]).map(toItem) }
  }

  /** How many of the found pictures stand before one; null where it is not among them. */
  place(id: PictureId, filter: GalleryFilter): number | null {
    const values = { ...valuesOf(filter), id }
    const own = this.#db.prepare(`SELECT createdAt, idx FROM pictures WHERE ${found(filter)} AND id = @id`).get(values) as Row | undefined
    if (!own) return null
    return this.#db
      .prepare(`SELECT count(*) FROM pictures WHERE ${found(filter)} AND (createdAt, idx) > (@createdAt, @idx)`)
      .pluck()
      .get({ ...values, createdAt: own.createdAt, idx: own.idx }) as number
  }

  /** Days of this machine's time zone, the newest first. From day to day by the index of times: no picture's time is turned into a day but the newest of each. */
  days(filter: GalleryFilter): GalleryDay[] {
    const values = valuesOf(filter)
    const newest = this.#db.prepare(`SELECT max(createdAt) FROM pictures WHERE ${found(filter)} AND createdAt < @before`).pluck()
    const count = this.#db
      .prepare(`SELECT count(*) FROM pictures WHERE ${found(filter)} AND createdAt >= @from AND createdAt < @before`)
      .pluck()
    const days: GalleryDay[] = []
    for (let before = endOfTime; ;) {
      const latest = newest.get({ ...values, before }) as string | null
      if (latest === null) return days
      const at = new Date(latest)
      const from = new Date(at.getFullYear(), at.getMonth(), at.getDate()).toISOString()
      days.push({ day: dayOf(at), pictures: count.get({ ...values, from, before }) as number })
      before = from
    }
  }

  /** Pictures of one job, first to last. */
  ofJob(jobId: string): GalleryItem[] {
    return (this.#db.prepare('SELECT * FROM pictures WHERE jobId = ? ORDER BY idx').all(jobId) as Row[]).map(toItem)
  }

  /** What people think of pictures; kept in a file beside them before it is in the index. Gives how many it changed. */
  async mark(target: GalleryTarget, marks: Marks): Promise<number> {
    const before = this.#marked(target).filter((row) => Object.entries(marks).some(([name, mark]) => row[name as keyof Marks] !== mark))
    if (before.length === 0) return 0
    await this.#add(
      before.map(({ id }) => id),
      marks,
    )
    this.#undo.push(before)
    if (this.#undo.length > undoDepth) this.#undo.shift()
    return before.length
  }

  /** Takes back the newest change of marks. Gives how many pictures it changed. */
  async undo(): Promise<number> {
    const before = this.#undo.pop()
    if (!before) return 0
    const same = ({ rating, pick, trashed }: Marked) => `${rating} ${pick} ${trashed}`
    for (const [, rows] of Map.groupBy(before, same)) {
      const { rating, pick, trashed } = rows[0]!
      await this.#add(
        rows.map(({ id }) => id),
        { rating, pick, trashed },
      )
    }
    return before.length
  }

  /** Marks of pictures that came into the index again. */
  async restoreMarks(ids: readonly PictureId[]): Promise<void> {
    const kept = await this.#marks.readAll()
    this.#apply(ids.flatMap((id) => ({ id, ...kept.get(id) })))
  }

  async #add(ids: readonly PictureId[], marks: Marks): Promise<void> {
    await this.#marks.add(ids, marks)
    this.#apply(ids.map((id) => ({ id, ...marks })))
  }

  /** The marks of a target's pictures as they are. */
  #marked(target: GalleryTarget): Marked[] {
    const columns = 'SELECT id, rating, pick, trashed FROM pictures'
    const rows =
      target.kind === 'ids'
        ? this.#db.prepare(`${columns} WHERE id IN (SELECT value FROM json_each(?))`).all(JSON.stringify(target.ids))
        : this.#db
            .prepare(`${columns} WHERE ${found(target.filter)} AND id NOT IN (SELECT value FROM json_each(@except))`)
            .all({ ...valuesOf(target.filter), except: JSON.stringify(target.except) })
    const marked = (row: Row): Marked => ({
      id: row.id as PictureId,
      rating: row.rating,
      pick: row.pick as Marked['pick'],
      trashed: row.trashed === 1,
    })
    return (rows as Row[]).map(marked)
  }

  #apply(changes: readonly ({ id: PictureId } & Marks)[]): void {
    const change = this.#db.prepare(
      'UPDATE pictures SET rating = coalesce(?, rating), pick = coalesce(?, pick), trashed = coalesce(?, trashed) WHERE id = ?',
    )
    this.#db.transaction(() => {
      for (const { id, rating, pick, trashed } of changes)
        change.run(rating ?? null, pick ?? null, trashed === undefined ? null : Number(trashed), id)
    })()
  }
}

function toItem({ idx, settings, trashed, ...row }: Row): GalleryItem {
  return galleryItem.parse({ ...row, index: idx, settings: JSON.parse(settings) as unknown, trashed: trashed === 1 })
}

function dayOf(at: Date): string {
  const [month, day] = [at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, '0'))
  return `${at.getFullYear()}-${month}-${day}`
}
