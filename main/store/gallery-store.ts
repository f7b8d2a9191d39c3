import { galleryItem, type GalleryItem, type GalleryQuery } from '#contracts/gallery.ts'
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

/** The gallery's index: every row can be made again from the picture it points to. */
export class GalleryStore {
  readonly #db: Db
  readonly #marks: PictureMarks

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

  list({ text, minRating, pick, trashed, offset, limit }: GalleryQuery): { total: number; items: GalleryItem[] } {
    const where = `trashed = @trashed AND rating >= @minRating AND (@pick IS NULL OR pick = @pick) AND (@text = '' OR prompt LIKE @like ESCAPE '\\')`
    const values = { trashed: Number(trashed), minRating, pick, text, like: `%${text.replace(/[\\%_]/g, '\\$&')}%` }
    const total = this.#db.prepare(`SELECT count(*) FROM pictures WHERE ${where}`).pluck().get(values) as number
    const rows = this.#db
      .prepare(`SELECT * FROM pictures WHERE ${where} ORDER BY createdAt DESC, idx DESC LIMIT @limit OFFSET @offset`)
      .all({ ...values, limit, offset })
    return { total, items: (rows as Row[]).map(toItem) }
  }

  /** Pictures of one job, first to last. */
  ofJob(jobId: string): GalleryItem[] {
    return (this.#db.prepare('SELECT * FROM pictures WHERE jobId = ? ORDER BY idx').all(jobId) as Row[]).map(toItem)
  }

  /** What people think of pictures; kept in a file beside them before it is in the index. */
  async mark(ids: readonly PictureId[], marks: Marks): Promise<void> {
    await this.#marks.add(ids, marks)
    this.#apply(ids.map((id) => ({ id, ...marks })))
  }

  /** Marks of pictures that came into the index again. */
  async restoreMarks(ids: readonly PictureId[]): Promise<void> {
    const kept = await this.#marks.readAll()
    this.#apply(ids.flatMap((id) => ({ id, ...kept.get(id) })))
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
