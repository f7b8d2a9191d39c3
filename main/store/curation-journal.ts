import { join } from 'node:path'
import { z } from 'zod'
import { captionMaker } from '#contracts/captioning.ts'
import { marks, type EditRecord, type Marks } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import { itemId, jobId, type ItemId, type JobId } from '#contracts/project.ts'
import { jsonLines } from './json-lines.ts'
import { readLineAt, readLines } from './line-reader.ts'
import type { SafeFs } from './safe-fs.ts'

export type MarkName = keyof Marks
export const markNames = Object.keys(marks.shape) as MarkName[]

/** The column of `items` that holds what people say; null where they say nothing. */
export function markColumn(name: MarkName): string {
  return `set${name[0]!.toUpperCase()}${name.slice(1)}`
}

/** Whether a mark is kept as JSON in its column. */
export function isList(name: MarkName): boolean {
  return name === 'captions' || name === 'tags' || name === 'crop'
}

/** A value for each of some items, or one for all; null where nothing is said. */
export type Column<T = unknown> = { same: T } | { each: T[] }

/** What an edit changed: for each mark what was said before and what is said now. */
export type EditFields = { [K in MarkName]?: { was: Column<Marks[K] | null>; now: Column<Marks[K] | null> } }

const column = (value: z.ZodType) => z.union([z.object({ same: value.nullable() }), z.object({ each: z.array(value.nullable()) })])
/** Tags stand in the journal in the form that they were brought to. */
const written: Record<MarkName, z.ZodType> = { ...marks.shape, tags: z.array(z.string()) }
const fields = z.object(
  Object.fromEntries(markNames.map((name) => [name, z.object({ was: column(written[name]), now: column(written[name]) }).optional()])),
) as unknown as z.ZodType<EditFields>

/** The captioner and the job that made an edit; none where people did. */
const editMaker = captionMaker.extend({ jobId })
export type EditMaker = z.infer<typeof editMaker>

const editLine = z.object({
  at: z.iso.datetime(),
  edit: z.enum(['set', 'replace', 'affix', 'tag', 'caption']),
  ids: z.array(itemId),
  fields,
  by: editMaker.optional(),
})
const undoLine = z.object({ at: z.iso.datetime(), undo: z.number().int() })
const redoLine = z.object({ at: z.iso.datetime(), redo: z.number().int() })
const stepLine = z.union([undoLine, redoLine])
type EditLine = z.infer<typeof editLine>

/** An edit as it stands in the journal; `seq` is the byte at which its line begins. */
export interface JournalStep {
  kind: 'edit' | 'undo' | 'redo'
  /** The edit that is done, taken back or done again. */
  record: EditRecord
  ids: readonly ItemId[]
  /** Which captioner made the edit; absent where people did. */
  by?: EditMaker | undefined
  /** What is said of these items from here on. */
  values: Partial<Record<MarkName, Column>>
  /** The byte behind this step's line. */
  end: number
}

/**
 * `curation.jsonl`: every edit of the data set as it was made, and every undo and redo, one a line. Lines hold results, never rules: whatever a
 * later studio makes of find and replace, an old edit stays what it was.
 */
export class CurationJournal {
  readonly path: string
  readonly #fs: SafeFs

  constructor(folder: string, fs: SafeFs) {
    this.path = join(folder, 'curation.jsonl')
    this.#fs = fs
  }

  async addEdit(edit: EditRecord['kind'], ids: readonly ItemId[], changed: EditFields, by?: EditMaker): Promise<void> {
    await this.#add({ edit, ids, fields: changed, ...(by ? { by } : {}) })
  }

  async addUndo(seq: number): Promise<void> {
    await this.#add({ undo: seq })
  }

  async addRedo(seq: number): Promise<void> {
    await this.#add({ redo: seq })
  }

  /** The items of an edit. @throws StudioError corrupt-file when there is none at that byte. */
  async idsOf(seq: number): Promise<readonly ItemId[]> {
    return (await this.#editAt(seq)).ids
  }

  /** What was done since a byte of the journal. */
  async *steps(from = 0): AsyncGenerator<JournalStep> {
    for await (const { text, offset, sizeBytes } of readLines(this.path, from)) {
      const end = offset + sizeBytes + 1
      const line = this.#parse(text, offset)
      if ('edit' in line) yield { kind: 'edit', ...stepOf(line, offset, 'now'), end }
      else if ('undo' in line) yield { kind: 'undo', ...stepOf(await this.#editAt(line.undo), line.undo, 'was'), end }
      else yield { kind: 'redo', ...stepOf(await this.#editAt(line.redo), line.redo, 'now'), end }
    }
  }

  /** What is said of each item that was ever edited, after the whole journal. */
  async fold(start: ReadonlyMap<ItemId, Partial<Marks>>): Promise<Map<ItemId, Partial<Marks>>> {
    const all = new Map(start)
    for await (const { ids, values } of this.steps()) {
      for (const [index, id] of ids.entries()) {
        const said: Partial<Record<MarkName, unknown>> = { ...all.get(id) }
        for (const name of Object.keys(values) as MarkName[]) {
          const value = at(values[name]!, index)
          if (value === null) delete said[name]
          else said[name] = value
        }
        all.set(id, said as Partial<Marks>)
      }
    }
    return all
  }

  /** What captioners ever wrote: for each item the captions and who made them, and for each job how many items it changed. */
  async made(): Promise<{ captions: Map<ItemId, Map<string, EditMaker>>; jobs: Map<JobId, number> }> {
    const captions = new Map<ItemId, Map<string, EditMaker>>()
    const jobs = new Map<JobId, number>()
    // Lines may hold all items, and few are a captioner's. A quote would be the slowest thing to look for first: there are millions.
    for await (const { text, offset } of readLines(this.path, 0, 'jobId":')) {
      const line = this.#parse(text, offset)
      if (!('edit' in line)) continue
      const { by, ids, values } = stepOf(line, offset, 'now')
      if (!by) continue
      jobs.set(by.jobId, ids.length)
      for (const name of ['caption', 'captions'] as const) {
        if (!values[name]) continue
        for (const [index, id] of ids.entries()) {
          const written = captions.get(id) ?? new Map<string, EditMaker>()
          for (const text of [at(values[name], index)].flat()) if (typeof text === 'string' && text !== '') written.set(text, by)
          captions.set(id, written)
        }
      }
    }
    return { captions, jobs }
  }

  async #add(line: object): Promise<void> {
    await this.#fs.append(this.path, jsonLines([{ at: new Date().toISOString(), ...line }]))
  }

  async #editAt(seq: number): Promise<EditLine> {
    const line = this.#parse(await readLineAt(this.path, seq), seq)
    if (!('edit' in line)) throw this.#damaged(seq)
    return line
  }

  #parse(text: string, offset: number): EditLine | z.infer<typeof stepLine> {
    try {
      const value: unknown = JSON.parse(text)
      // Told apart by hand, so that a long edit is not tried as everything.
      if (typeof value === 'object' && value !== null && 'edit' in value) return editLine.parse(value)
      return stepLine.parse(value)
    } catch (cause) {
      throw this.#damaged(offset, cause)
    }
  }

  #damaged(offset: number, cause?: unknown): StudioError {
    return new StudioError(
      'corrupt-file',
      `"${this.path}" is damaged at byte ${offset}: what stands there is no edit. Restore the file from a copy of the project, or move it away to go on without its edits.`,
      { cause },
    )
  }
}

/** What a column says of one item. */
export function at<T>(values: Column<T>, index: number): T | null {
  return 'same' in values ? values.same : (values.each[index] ?? null)
}

/** The shorter form of a list of values. */
export function columnOf<T>(values: T[]): Column<T> {
  return values.length > 0 && values.every((value) => sameMark(value, values[0])) ? { same: values[0]! } : { each: values }
}

/** Whether two values of a mark are equal. */
export function sameMark(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, index) => one === b[index])
  return typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b)
}

function stepOf(
  { at: time, edit, ids, fields: changed, by }: EditLine,
  seq: number,
  side: 'was' | 'now',
): Omit<JournalStep, 'kind' | 'end'> {
  const names = Object.keys(changed) as MarkName[]
  return {
    record: { seq, kind: edit, fields: names, items: ids.length, at: time },
    ids,
    by,
    values: Object.fromEntries(names.map((name) => [name, changed[name]![side]])),
  }
}
