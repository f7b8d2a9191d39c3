import { join } from 'node:path'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { ledgerLine, splitRank, validationCount, type DatasetFiles, type LedgerLine } from '../media/dataset-files.ts'
import { at, isList, markColumn, markNames, type Column, type JournalStep, type MarkName } from './curation-journal.ts'
import type { Db } from './database.ts'
import { fingerprintBefore, readLines } from './line-reader.ts'
import { measured, MeasureLog, type Measured } from './measure-log.ts'
import type { SafeFs } from './safe-fs.ts'

/** How far a file is in the index: the byte behind its last line, and what stands before that. */
const mark = z.object({ offset: z.number().int(), before: z.string() })
type FileName = 'ledger' | 'journal' | 'measures'

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
  #turn: Promise<unknown> = Promise.resolve()

  constructor(db: Db, files: DatasetFiles, fs: SafeFs) {
    this.#db = db
    this.#files = files
    this.measureLog = new MeasureLog(files.folder, fs)
    this.#paths = { ledger: join(files.folder, 'ledger.jsonl'), journal: files.journal.path, measures: this.measureLog.path }
  }

  /** Work on an index that is up to date, one after the other; what the work adds to the files is in the index when this resolves. */
  fresh<T>(work: () => T | Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      await this.#catchUp()
      const result = await work()
      await this.#catchUp()
      return result
    })
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }

  async #catchUp(): Promise<void> {
    for (const name of ['ledger', 'journal', 'measures'] as const) {
      const { offset, before } = this.#mark(name)
      if ((await fingerprintBefore(this.#paths[name], offset)) !== before) {
        this.#forget()
        break
      }
    }
    await this.#readLedger()
    await this.#readJournal()
    await this.#readMeasures()
  }

  #forget(): void {
    this.#db.exec(`BEGIN; DELETE FROM files; DELETE FROM items; DELETE FROM edits; INSERT INTO itemText (itemText) VALUES ('delete-all');
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
    if (changed) this.#holdBack()
  }

  #addFile({ root, source, state, reason, detail, item }: LedgerLine): void {
    const id = item?.id ?? null
    const before = this.#db.prepare('SELECT itemId FROM files WHERE root = ? AND source = ?').pluck().get(root, source) as
      string | null | undefined
    this.#db
      .prepare(
        `INSERT INTO files (root, source, state, reason, detail, itemId) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (root, source)
         DO UPDATE SET state = excluded.state, reason = excluded.reason, detail = excluded.detail, itemId = excluded.itemId`,
      )
      .run(root, source, state, reason, detail, id)
    if (item) {
      const { captions = [], tags = [], author = '', licence = '', origin = '', ...rest } = item
      this.#db
        .prepare(
          `INSERT INTO items (id, here, source, state, reason, width, height, shard, slot, pixelHash, splitRank,
             foundCaption, foundCaptions, foundTags, foundAuthor, foundLicence, foundOrigin)
           VALUES (@id, 1, @source, @state, @reason, @width, @height, @shard, @slot, @pixelHash, @splitRank,
             @caption, @captions, @tags, @author, @licence, @origin)
           ON CONFLICT (id) DO UPDATE SET here = 1, source = @source, state = @state, reason = @reason, width = @width, height = @height,
             shard = @shard, slot = @slot, pixelHash = @pixelHash, splitRank = @splitRank, foundCaption = @caption, foundCaptions = @captions,
             foundTags = @tags, foundAuthor = @author, foundLicence = @licence, foundOrigin = @origin, textStale = 1`,
        )
        .run({
          ...rest,
          ...{ source, state, reason, author, licence, origin, splitRank: splitRank(item.id) },
          captions: JSON.stringify(captions),
          tags: JSON.stringify(tags),
        })
    }
    if (before && before !== id)
      this.#db.prepare('UPDATE items SET here = EXISTS (SELECT 1 FROM files WHERE itemId = @id) WHERE id = @id').run({ id: before })
  }

  /** Which items are held back when nobody says so; see `validationCount`. */
  #holdBack(): void {
    const count = this.#db.prepare('SELECT count(*) FROM items WHERE here').pluck().get() as number
    this.#db.transaction(() => {
      this.#db.prepare(`UPDATE items SET autoSplit = 'train' WHERE autoSplit <> 'train'`).run()
      this.#db
        .prepare(`UPDATE items SET autoSplit = 'validation' WHERE row IN (SELECT row FROM items WHERE here ORDER BY splitRank LIMIT ?)`)
        .run(validationCount(count))
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
    this.#db.exec('CREATE TEMP TABLE IF NOT EXISTS said (row INTEGER PRIMARY KEY, n INTEGER NOT NULL); DELETE FROM said')
    const list = JSON.stringify(ids)
    this.#db.prepare('INSERT INTO items (id) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING').run(list)
    this.#db.prepare('INSERT OR REPLACE INTO said SELECT items.row, key FROM json_each(?) JOIN items ON items.id = value').run(list)
    const names = markNames.filter((name) => values[name])
    const text = names.some((name) => ['caption', 'captions', 'tags'].includes(name)) ? ', textStale = 1' : ''
    const assign = `UPDATE items SET ${names.map((name) => `${markColumn(name)} = ?`).join(', ')}${text}`
    const columns = names.map((name) => [name, values[name]!] as const)
    if (columns.every(([, column]) => 'same' in column)) {
      this.#db.prepare(`${assign} WHERE row IN (SELECT row FROM said)`).run(columns.map(([name, column]) => stored(name, column, 0)))
      return
    }
    const one = this.#db.prepare(`${assign} WHERE row = ?`)
    for (const { row, n } of this.#db.prepare('SELECT row, n FROM said').all() as { row: number; n: number }[])
      one.run(...columns.map(([name, column]) => stored(name, column, n)), row)
  }

  async #readMeasures(): Promise<void> {
    for await (const { values, end } of this.#newLines('measures', measured)) {
      await this.#keep('measures', end, () => {
        for (const line of values) this.#addMeasures(line)
      })
    }
  }

  #addMeasures({ focus, ...line }: Measured): void {
    this.#db
      .prepare(
        `INSERT INTO items (id, blur, brightness, clippedDark, clippedBright, focusX, focusY, looks)
         VALUES (@id, @blur, @brightness, @clippedDark, @clippedBright, @x, @y, @looks)
         ON CONFLICT (id) DO UPDATE SET blur = @blur, brightness = @brightness, clippedDark = @clippedDark, clippedBright = @clippedBright,
           focusX = @x, focusY = @y, looks = @looks`,
      )
      .run({ ...line, ...focus })
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

function stored(name: MarkName, column: Column, index: number): string | number | null {
  const value = at(column, index)
  return value === null || !isList(name) ? (value as string | number | null) : JSON.stringify(value)
}
