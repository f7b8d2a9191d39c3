import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import {
  foundWords,
  leafPrefix,
  ledgerLine,
  splitRank,
  validationCount,
  videoOf,
  type DatasetFiles,
  type LedgerLine,
} from '../media/dataset-files.ts'
import { cropText } from '../media/training-crop.ts'
import { clipFactsOf, foundOf, videoLine, type VideoLine } from '../media/video/clip-files.ts'
import { isList, markColumn, markNames, type JournalStep, type MarkName } from './curation-journal.ts'
import { cropped, type Cropped } from './crop-log.ts'
import type { Db } from './database.ts'
import { fingerprintBefore, readLines } from './line-reader.ts'
import { measured, MeasureLog, type Measured } from './measure-log.ts'
import type { SafeFs } from './safe-fs.ts'

/** How far a file is in the index: the byte behind its last line, and what stands before that. */
const mark = z.object({ offset: z.number().int(), before: z.string() })
type FileName = 'ledger' | 'clips' | 'journal' | 'measures' | 'crops'

const linesAtOnce = 2000

/**
 * Brings the tables `files`, `items` and `edits` up to what the data set's files say. Files are only added to, so that mostly the end of each is
 * read; a file that is another than it was makes all of it be read again.
 */
export class DatasetIndex {
  readonly measureLog: MeasureLog
  readonly #db: Db
  readonly #files: DatasetFiles
  readonly #paths: Record<FileName, string>
  readonly #add: ReturnType<typeof prepareAll>
  #turn: Promise<unknown> = Promise.resolve()

  constructor(db: Db, files: DatasetFiles, fs: SafeFs) {
    this.#db = db
    this.#add = prepareAll(db)
    this.#files = files
    this.measureLog = new MeasureLog(files.folder, fs)
    this.#paths = {
      ledger: join(files.folder, 'ledger.jsonl'),
      clips: files.clips.manifestPath,
      journal: files.journal.path,
      measures: this.measureLog.path,
      crops: files.crops.path,
    }
  }

  /** Work on an index that is up to date, one after the other. */
  fresh<T>(work: () => T | Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      await this.#catchUp()
      return work()
    })
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }

  /** The same for work that adds to the files: what it adds is in the index when this resolves. */
  change<T>(work: () => Promise<T>): Promise<T> {
    return this.fresh(async () => {
      const result = await work()
      await this.#catchUp()
      return result
    })
  }

  /** Resolves when nothing is at work any more. */
  async idle(): Promise<void> {
    await this.#turn
  }

  async #catchUp(): Promise<void> {
    for (const name of ['ledger', 'clips', 'journal', 'measures', 'crops'] as const) {
      const { offset, before } = this.#mark(name)
      if ((await fingerprintBefore(this.#paths[name], offset)) !== before) {
        this.#forget()
        break
      }
    }
    await this.#readLedger()
    await this.#readJournal()
    await this.#readMeasures()
    await this.#readCrops()
  }

  #forget(): void {
    this.#db
      .exec(`BEGIN; DELETE FROM files; DELETE FROM items; DELETE FROM marks; DELETE FROM alike; DELETE FROM leaves; DELETE FROM edits; DELETE FROM cropped; INSERT INTO itemText (itemText) VALUES ('delete-all');
      DELETE FROM facts WHERE name LIKE 'dataset.%'; COMMIT`)
  }

  async #readLedger(): Promise<void> {
    let changed = false
    for await (const lines of this.#newLines('ledger', ledgerLine)) {
      changed = true
      await this.#keep('ledger', lines.end, () => {
        for (const line of lines.values) this.#addFile(line)
      })
    }
    for await (const lines of this.#newLines('clips', videoLine)) {
      changed = true
      await this.#keep('clips', lines.end, () => {
        for (const line of lines.values) this.#addVideo(line)
      })
    }
    if (changed) this.#holdBack()
  }

  /** A video goes before what the ledger said of its file when videos were not read there. */
  #addVideo(line: VideoLine): void {
    const { root, source, state, reason, detail, fileHash, made, clips } = line
    this.#add.file.run(root, source, state, reason, detail, fileHash, null, null)
    const video = this.#add.fileAt.get(root, source)!
    const ids = JSON.stringify(clips.map(({ id }) => id))
    for (const id of this.#add.clipsGone.all(video, ids)) this.#add.leaf.run(id)
    for (const clip of clips) {
      const { id, slot, pixelHash, shard } = clip
      const found = foundOf(line, clip)
      const { author = '', licence = '', origin = '', split = null, repeats = null, concept = '', consent = null } = found
      const { caption, captions, tags } = foundWords(found)
      this.#add.item.run({
        ...{ id, slot, pixelHash, source, state, reason, author, licence, origin, split, shard: 0, splitRank: splitRank(videoOf(line)) },
        ...{ repeats, concept, consent, background: '#ffffff' },
        ...{ width: made.width ?? made.imageSize, height: made.height ?? made.imageSize },
        ...{ caption, captions: JSON.stringify(captions), tags: JSON.stringify(tags) },
      })
      this.#add.clip.run({ id, video, clipShard: shard, clipEdge: made.imageSize, ...clipFactsOf(line, clip) })
      this.#add.marks.run(id)
      this.#add.leaf.run(id)
    }
  }

  #addFile({ root, source, state, reason, detail, fileHash, item }: LedgerLine): void {
    const id = item?.id ?? null
    const before = this.#add.itemOf.get(root, source)
    this.#add.file.run(root, source, state, reason, detail, fileHash, item?.copied ?? null, id)
    if (item) {
      const {
        author = '',
        licence = '',
        origin = '',
        split = null,
        repeats = null,
        concept = '',
        consent = null,
        background = '#ffffff',
        ...rest
      } = item
      const { caption, captions, tags } = foundWords(item)
      this.#add.item.run({
        ...rest,
        ...{ source, state, reason, author, licence, origin, split, repeats, concept, consent, background, splitRank: splitRank(item.id) },
        caption,
        captions: JSON.stringify(captions),
        tags: JSON.stringify(tags),
      })
      this.#add.marks.run(item.id)
      this.#add.leaf.run(item.id)
    }
    if (before && before !== id) {
      this.#add.gone.run({ id: before })
      this.#add.leaf.run(before)
    }
  }

  /** Which items are held back when nobody says so; see `validationCount`. */
  #holdBack(): void {
    const db = this.#db
    db.transaction(() => {
      db.exec(`UPDATE items SET autoSplit = 'train' WHERE autoSplit <> 'train'; DELETE FROM leaves`)
      for (const kind of ['frames IS NULL', 'frames IS NOT NULL']) {
        const count = db.prepare(`SELECT count(*) FROM items WHERE here AND ${kind}`).pluck().get() as number
        db.prepare(
          `UPDATE items SET autoSplit = 'validation' WHERE here AND ${kind}
           AND splitRank < (SELECT splitRank FROM items WHERE here AND ${kind} ORDER BY splitRank LIMIT 1 OFFSET ?)`,
        ).run(validationCount(count))
      }
    })()
  }

  async #readJournal(): Promise<void> {
    const { offset } = this.#mark('journal')
    if (offset === 0 && this.#fact('dataset.oldMarks') === null) {
      const old = [...(await this.#files.oldMarks())]
      this.#db.transaction(() => {
        if (old.length > 0)
          this.#say(
            old.map(([id]) => id),
            { caption: { each: old.map(([, { caption }]) => caption) } },
          )
        this.#setFact('dataset.oldMarks', 'read')
      })()
    }
    for await (const step of this.#files.journal.steps(offset)) await this.#keep('journal', step.end, () => this.#apply(step))
  }

  #apply({ kind, record, ids, values }: JournalStep): void {
    if (kind === 'edit') {
      this.#db.prepare(`DELETE FROM edits WHERE state = 'undone'`).run()
      this.#db
        .prepare(`INSERT INTO edits (seq, kind, fields, items, at, state) VALUES (?, ?, ?, ?, ?, 'done')`)
        .run(record.seq, record.kind, JSON.stringify(record.fields), record.items, record.at)
    } else this.#db.prepare('UPDATE edits SET state = ? WHERE seq = ?').run(kind === 'undo' ? 'undone' : 'done', record.seq)
    this.#say(ids, values)
  }

  #say(ids: readonly ItemId[], values: JournalStep['values']): void {
    const db = this.#db
    const names = markNames.filter((name) => values[name])
    db.exec('CREATE TEMP TABLE IF NOT EXISTS said (n INTEGER PRIMARY KEY, row INTEGER NOT NULL); DELETE FROM said')
    const list = JSON.stringify(ids)
    const find = db.prepare('INSERT OR REPLACE INTO said SELECT key, items.row FROM json_each(?) JOIN items ON items.id = value')
    if (find.run(list).changes < ids.length) {
      db.prepare('INSERT INTO items (id) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING').run(list)
      db.prepare('INSERT INTO marks (row) SELECT row FROM items WHERE row NOT IN (SELECT row FROM marks)').run()
      find.run(list)
    }
    for (const name of names) {
      const column = values[name]!
      const assign = `UPDATE marks SET ${markColumn(name)}`
      if ('same' in column) db.prepare(`${assign} = ? FROM said WHERE marks.row = said.row`).run(stored(name, column.same))
      else {
        db.prepare(`${assign} = value FROM json_each(?) JOIN said ON said.n = key WHERE marks.row = said.row`).run(
          JSON.stringify(column.each),
        )
      }
    }
    if (names.some((name) => inText.has(name))) db.exec('UPDATE marks SET textStale = 1 FROM said WHERE marks.row = said.row')
    if (names.some((name) => inSnapshot.has(name))) {
      const prefixes = [...new Set(ids.map((id) => id.slice(0, leafPrefix)))]
      db.prepare('DELETE FROM leaves WHERE prefix IN (SELECT value FROM json_each(?))').run(JSON.stringify(prefixes))
    }
  }

  async #readMeasures(): Promise<void> {
    for await (const { values, end } of this.#newLines('measures', measured)) {
      await this.#keep('measures', end, () => {
        for (const line of values) this.#addMeasures(line)
      })
    }
  }

  #addMeasures({ focus, ...line }: Measured): void {
    this.#add.measures.run({ ...line, ...focus })
  }

  async #readCrops(): Promise<void> {
    for await (const { values, end } of this.#newLines('crops', cropped)) {
      await this.#keep('crops', end, () => {
        for (const line of values) this.#addCropped(line)
      })
    }
  }

  #addCropped({ id, crop, area, shard, slot, pixelHash, away }: Cropped): void {
    const row = { id, crop: cropText(crop), area: area && JSON.stringify(area), shard, slot, pixelHash }
    this.#add.pixels.run({ ...row, away: away ?? null })
    if (away === undefined) this.#add.cropped.run(row)
    this.#add.leaf.run(id)
  }

  /** What was added to a file, some lines at a time. */
  async *#newLines<T extends z.ZodType>(name: FileName, schema: T): AsyncGenerator<{ values: z.output<T>[]; end: number }> {
    let values: z.output<T>[] = []
    let end = 0
    for await (const { text, offset, sizeBytes } of readLines(this.#paths[name], this.#mark(name).offset)) {
      values.push(this.#parse(name, schema, text, offset))
      end = offset + sizeBytes + 1
      if (values.length < linesAtOnce) continue
      yield { values, end }
      values = []
    }
    if (values.length > 0) yield { values, end }
  }

  #parse<T extends z.ZodType>(name: FileName, schema: T, text: string, offset: number): z.output<T> {
    try {
      return schema.parse(JSON.parse(text))
    } catch (cause) {
      throw new StudioError('corrupt-file', `"${this.#paths[name]}" is damaged at byte ${offset}. Restore it from a copy of the project.`, {
        cause,
      })
    }
  }

  /** A change of the index and how far its file is read, both or neither. */
  async #keep(name: FileName, offset: number, change: () => void): Promise<void> {
    const before = (await fingerprintBefore(this.#paths[name], offset)) ?? ''
    this.#db.transaction(() => {
      change()
      this.#setFact(`dataset.${name}`, JSON.stringify({ offset, before }))
    })()
  }

  #mark(name: FileName): z.infer<typeof mark> {
    const value = this.#fact(`dataset.${name}`)
    return value === null ? { offset: 0, before: '' } : mark.parse(JSON.parse(value))
  }

  #fact(name: string): string | null {
    return (this.#db.prepare('SELECT value FROM facts WHERE name = ?').pluck().get(name) as string | undefined) ?? null
  }

  #setFact(name: string, value: string): void {
    this.#db
      .prepare('INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')
      .run(name, value)
  }
}

/** Marks that free text looks through, and marks that a snapshot's name depends on. */
const inText: ReadonlySet<MarkName> = new Set(['caption', 'captions', 'tags'])
const inSnapshot: ReadonlySet<MarkName> = new Set(['caption', 'captions', 'tags', 'split', 'crop', 'pick', 'repeats'])

function stored(name: MarkName, value: unknown): string | number | null {
  return value !== null && isList(name) ? JSON.stringify(value) : (value as string | number | null)
}

/** Statements that run once a line, prepared once. */
function prepareAll(db: Db) {
  return {
    itemOf: db.prepare<[string, string], string | null>('SELECT itemId FROM files WHERE root = ? AND source = ?').pluck(),
    file: db.prepare(
      `INSERT INTO files (root, source, state, reason, detail, fileHash, copied, itemId) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (root, source)
       DO UPDATE SET state = excluded.state, reason = excluded.reason, detail = excluded.detail,
         fileHash = excluded.fileHash, copied = excluded.copied, itemId = excluded.itemId`,
    ),
    item: db.prepare(
      `INSERT INTO items (id, here, source, state, reason, width, height, shard, slot, pixelHash, foundShard, foundSlot, foundPixelHash,
         background, splitRank, foundSplit, foundCaption, foundCaptions, foundTags, foundAuthor, foundLicence, foundOrigin,
         foundRepeats, foundConcept, foundConsent)
       VALUES (@id, 1, @source, @state, @reason, @width, @height, @shard, @slot, @pixelHash, @shard, @slot, @pixelHash,
         @background, @splitRank, @split, @caption, @captions, @tags, @author, @licence, @origin,
         @repeats, @concept, @consent)
       ON CONFLICT (id) DO UPDATE SET here = 1, source = @source, state = @state, reason = @reason, width = @width, height = @height,
         shard = iif(madeCrop IS NULL, @shard, shard), slot = iif(madeCrop IS NULL, @slot, slot),
         pixelHash = iif(madeCrop IS NULL, @pixelHash, pixelHash), foundShard = @shard, foundSlot = @slot, foundPixelHash = @pixelHash,
         background = @background, splitRank = @splitRank, foundSplit = @split, foundCaption = @caption, foundCaptions = @captions,
         foundTags = @tags, foundAuthor = @author, foundLicence = @licence, foundOrigin = @origin,
         foundRepeats = @repeats, foundConcept = @concept, foundConsent = @consent`,
    ),
    marks: db.prepare('INSERT INTO marks (row) SELECT row FROM items WHERE id = ? ON CONFLICT (row) DO UPDATE SET textStale = 1'),
    leaf: db.prepare(`DELETE FROM leaves WHERE prefix = substr(?, 1, ${leafPrefix})`),
    /** An item whose file is another picture now stays known, for what was said of it, and is not here any more. */
    gone: db.prepare('UPDATE items SET here = EXISTS (SELECT 1 FROM files WHERE itemId = @id) WHERE id = @id'),
    pixels: db.prepare(
      `UPDATE items SET madeCrop = @crop, madeArea = @area, madeAway = @away, shard = @shard, slot = @slot, pixelHash = @pixelHash
       WHERE id = @id`,
    ),
    cropped: db.prepare(
      `INSERT INTO cropped (id, crop, area, shard, slot, pixelHash) VALUES (@id, @crop, @area, @shard, @slot, @pixelHash)
       ON CONFLICT (id, crop) DO UPDATE SET area = @area, shard = @shard, slot = @slot, pixelHash = @pixelHash`,
    ),
    fileAt: db.prepare<[string, string], number>('SELECT position FROM files WHERE root = ? AND source = ?').pluck(),
    clip: db.prepare(
      `UPDATE items SET video = @video, frames = @frames, frameRate = @frameRate, stride = @stride, startSeconds = @startSeconds,
         firstFrame = @firstFrame, lastFrame = @lastFrame, clipShard = @clipShard, clipEdge = @clipEdge WHERE id = @id`,
    ),
    /** Clips of a video that is another now, or is cut by other rules. */
    clipsGone: db
      .prepare<[number, string], ItemId>(
        'UPDATE items SET here = 0 WHERE video = ? AND here AND id NOT IN (SELECT value FROM json_each(?)) RETURNING id',
      )
      .pluck(),
    measures: db.prepare(
      `INSERT INTO items (id, blur, brightness, clippedDark, clippedBright, watermark, focusX, focusY, looks)
       VALUES (@id, @blur, @brightness, @clippedDark, @clippedBright, @watermark, @x, @y, @looks)
       ON CONFLICT (id) DO UPDATE SET blur = @blur, brightness = @brightness, clippedDark = @clippedDark, clippedBright = @clippedBright,
         watermark = @watermark,         focusX = @x, focusY = @y, looks = @looks`,
    ),
  }
}
