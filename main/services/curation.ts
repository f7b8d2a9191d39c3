import type {
  CurationChange,
  CurationEdit,
  CurationHistory,
  CurationNews,
  CurationTarget,
  EditOutcome,
  EditPreview,
  KeepOutcome,
  KeepRequest,
  Marks,
  MarksChange,
  Rectangle,
} from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import type { DatasetFiles } from '../media/dataset-files.ts'
import { smallestSide } from '../media/picture.ts'
import { at, columnOf, sameMark, type EditFields, type EditMaker, type MarkName } from '../store/curation-journal.ts'
import type { DatasetIndex } from '../store/dataset-index.ts'
import type { DuplicateGroups } from '../store/duplicate-groups.ts'
import type { ItemQuestions } from '../store/item-questions.ts'
import type { CaptionableItem, ItemStore, WordName, Words } from '../store/item-store.ts'
import type { Condition } from '../store/query/sql.ts'
import { applyRule, type Changed } from './curation-edit.ts'

/** What an edit comes to: the items that it changes and what is said of them before and after. */
interface Plan {
  matched: number
  ids: ItemId[]
  fields: EditFields
  /** Clips that keep their frame in spite of a crop. */
  uncropped?: number
}

interface Edited {
  readonly dataset: DatasetFiles
  readonly index: DatasetIndex
  readonly questions: ItemQuestions
  readonly items: ItemStore
  readonly duplicates: DuplicateGroups
}

/** Ids that a piece of news names; more are "many". */
const namedIds = 500

/** The edits of a data set. The journal is written first and the index follows it, so that what is on the screen is what is in the files. */
export class Curation {
  readonly #files: DatasetFiles
  readonly #index: DatasetIndex
  readonly #questions: ItemQuestions
  readonly #items: ItemStore
  readonly #duplicates: DuplicateGroups
  readonly #changed: (news: CurationNews) => void
  readonly #cropped: (ids: readonly ItemId[]) => void

  /** `cropped` is told whose crops are others now, by an edit, an undo or a redo. */
  constructor(
    { dataset, index, questions, items, duplicates }: Edited,
    changed: (news: CurationNews) => void,
    cropped: (ids: readonly ItemId[]) => void = () => undefined,
  ) {
    this.#files = dataset
    this.#index = index
    this.#questions = questions
    this.#items = items
    this.#duplicates = duplicates
    this.#changed = changed
    this.#cropped = cropped
  }

  /** @throws StudioError invalid-request when the edit cannot be done to all of its items; then it is done to none. */
  async edit({ target, change }: CurationEdit): Promise<EditOutcome> {
    const { matched, ids, fields, uncropped } = await this.#index.change(async () => {
      const plan = this.#plan({ target, change })
      if (plan.ids.length > 0) await this.#files.journal.addEdit(change.kind, plan.ids, plan.fields)
      return plan
    })
    const outcome = this.#outcome(matched, ids.length, ids, uncropped)
    if (fields.crop && ids.length > 0) this.#cropped(ids)
    return outcome
  }

  /** One edit that says a caption of each of some items. */
  async sayCaptions(captions: ReadonlyMap<ItemId, string>): Promise<EditOutcome> {
    const ids = await this.#index.change(async () => {
      const rows = [...captions].map(([id, caption]) => ({ id, caption: caption.trim(), was: this.#items.saidCaption(id) }))
      const changes = rows.filter(({ caption, was }) => caption !== was)
      const fields = {
        caption: { was: columnOf(changes.map(({ was }) => was)), now: columnOf<string | null>(changes.map(({ caption }) => caption)) },
      }
      if (changes.length > 0)
        await this.#files.journal.addEdit(
          'set',
          changes.map(({ id }) => id),
          fields,
        )
      return changes.map(({ id }) => id)
    })
    return this.#outcome(captions.size, ids.length, ids)
  }

  async preview(edit: CurationEdit, examples: number): Promise<EditPreview> {
    const { matched, ids, fields } = await this.#index.fresh(() => this.#plan(edit))
    const side = (index: number, which: 'was' | 'now') =>
      Object.fromEntries((Object.keys(fields) as MarkName[]).map((name) => [name, at<unknown>(fields[name]![which], index)]))
    return {
      matched,
      changed: ids.length,
      examples: ids.slice(0, examples).map((id, index) => {
        const found = this.#items.found(id)
        const whole = (said: Record<string, unknown>): Partial<Marks> =>
          Object.fromEntries(Object.entries(said).map(([name, value]) => [name, value ?? found[name as MarkName]]))
        return { id, before: whole(side(index, 'was')), after: whole(side(index, 'now')) }
      }),
    }
  }

  /** The items that a target means, with their words and files, in the order in which they came. */
  words(target: CurationTarget): Promise<CaptionableItem[]> {
    return this.#index.fresh(() => this.#items.captionable(this.#questions.targeted(target)))
  }

  /** One edit that a captioner makes: `rule` gives the words of each item anew, from what they are at this time. Items that are gone are left out. */
  async rewrite(ids: readonly ItemId[], rule: (item: Words) => Changed, by: EditMaker): Promise<EditOutcome> {
    const plan = await this.#index.change(async () => {
      const condition = this.#questions.targeted({ kind: 'ids', ids: [...ids] })
      const changes = this.#planWords(condition, ids.length, ['caption', 'captions', 'tags'], (rows) => rows.map(rule))
      if (changes.ids.length > 0) await this.#files.journal.addEdit('caption', changes.ids, changes.fields, by)
      return changes
    })
    return this.#outcome(plan.matched, plan.ids.length, plan.ids)
  }

  /** One edit that decides about groups of duplicates. @throws StudioError not-found when the item has no duplicates (any more). */
  async keep(request: KeepRequest): Promise<KeepOutcome> {
    const { groups, changes } = await this.#index.change(async () => {
      const plan = this.#duplicates.keeping(request)
      if (plan.groups === 0 && request.keep !== 'best-of-all')
        throw new StudioError('not-found', `"${request.id}" is in no group of duplicates any more. Look at the groups again.`)
      const pick = { was: columnOf(plan.changes.map(({ was }) => was)), now: columnOf(plan.changes.map(({ now }) => now)) }
      if (plan.changes.length > 0)
        await this.#files.journal.addEdit(
          'set',
          plan.changes.map(({ id }) => id),
          { pick },
        )
      return plan
    })
    const ids = changes.map(({ id }) => id)
    const rejected = changes.filter(({ now }) => now === 'reject').length
    return { ...this.#outcome(ids.length, ids.length, ids), groups, rejected }
  }

  async undo(): Promise<EditOutcome> {
    return this.#step('undo')
  }

  async redo(): Promise<EditOutcome> {
    return this.#step('redo')
  }

  history(): Promise<CurationHistory> {
    return this.#index.fresh(() => this.#items.history())
  }

  async #step(kind: 'undo' | 'redo'): Promise<EditOutcome> {
    const record = await this.#index.change(async () => {
      const next = this.#items.history()[kind]
      if (next) await (kind === 'undo' ? this.#files.journal.addUndo(next.seq) : this.#files.journal.addRedo(next.seq))
      return next
    })
    const outcome = this.#outcome(record?.items ?? 0, record?.items ?? 0, null)
    if (record?.fields.includes('crop')) this.#cropped(await this.#files.journal.idsOf(record.seq))
    return outcome
  }

  #outcome(matched: number, changed: number, ids: readonly ItemId[] | null, uncropped = 0): EditOutcome {
    const history = this.#items.history()
    if (changed > 0) this.#changed({ ids: ids && ids.length <= namedIds ? [...ids] : null, history })
    return { matched, changed, uncropped, history }
  }

  #plan({ target, change }: CurationEdit): Plan {
    const condition = this.#questions.targeted(target)
    const matched = this.#items.count(condition)
    if (target.kind === 'ids' && matched < new Set(target.ids).size) {
      const missing = target.ids.find((id) => !this.#items.get(id))
      throw new StudioError('not-found', `There is no picture "${missing}" in the data set.`)
    }
    return change.kind === 'set' ? this.#planSet(condition, matched, change) : this.#planRule(condition, matched, change)
  }

  #planSet(condition: Condition, matched: number, { marks }: Extract<CurationChange, { kind: 'set' }>): Plan {
    const wanted = tidy(marks)
    if (wanted.crop?.kind === 'rectangle') this.#checkRectangle(condition, wanted.crop)
    const names = (Object.keys(wanted) as MarkName[]).filter((name) => wanted[name] !== undefined)
    const clips = wanted.crop ? this.#items.clips(condition) : new Set<ItemId>()
    if (clips.size > 0 && clips.size === matched && names.length === 1)
      throw new StudioError(
        'invalid-request',
        `Crops are for pictures, and ${matched === 1 ? 'this is a clip, which keeps its frame' : `these ${matched} items are clips, which keep their frames`}. Choose pictures.`,
      )
    const rows = names.length > 0 ? this.#items.said(condition, names) : []
    const next = ({ id, said }: (typeof rows)[number], name: MarkName) =>
      (name === 'crop' && clips.has(id) ? said[name] : wanted[name]) ?? null
    const changes = rows.filter((row) => names.some((name) => !sameMark(row.said[name] ?? null, next(row, name))))
    const fields: Record<string, unknown> = {}
    for (const name of names) {
      const was = changes.map(({ said }) => said[name] ?? null)
      const now = changes.map((row) => next(row, name))
      if (was.some((value, index) => !sameMark(value, now[index]!)))
        fields[name] = { was: columnOf<unknown>(was), now: columnOf<unknown>(now) }
    }
    return { matched, ids: changes.map(({ id }) => id), fields, uncropped: clips.size }
  }

  #planRule(condition: Condition, matched: number, rule: Exclude<CurationChange, { kind: 'set' }>): Plan {
    const names: readonly WordName[] = rule.kind === 'tag' ? ['tags'] : ['caption', 'captions']
    return this.#planWords(condition, matched, names, (rows) => applyRule(rule, rows))
  }

  #planWords(condition: Condition, matched: number, names: readonly WordName[], change: (rows: readonly Words[]) => Changed[]): Plan {
    const rows = this.#items.words(condition, names)
    const after = change(rows)
    const changes = rows.flatMap((row, index) =>
      names.some((name) => !sameMark(row[name], after[index]![name])) ? [{ row, after: after[index]! }] : [],
    )
    const fields: Record<string, unknown> = {}
    for (const name of names) {
      if (changes.every(({ row, after: words }) => sameMark(row[name], words[name]))) continue
      const was = changes.map(({ row }) => row.said[name] ?? null)
      const now = changes.map(({ row, after: words }, index) => (sameMark(row[name], words[name]) ? was[index]! : words[name]))
      fields[name] = { was: columnOf<unknown>(was), now: columnOf<unknown>(now) }
    }
    return { matched, ids: changes.map(({ row }) => row.id), fields }
  }

  #checkRectangle(condition: Condition, { x, y, width, height }: Rectangle): void {
    if (Math.min(width, height) < smallestSide) {
      throw new StudioError(
        'invalid-request',
        `The rectangle has ${width} x ${height} pixels; the short side must have at least ${smallestSide}. Draw a larger one.`,
      )
    }
    const outside = this.#items.smallerThan(condition, x + width, y + height)
    if (outside === null) return
    throw new StudioError(
      'invalid-request',
      `The rectangle reaches to ${x + width} x ${y + height} pixels, but "${outside.source}" has ${outside.width} x ${outside.height}. Draw it inside, or choose pictures that are large enough.`,
    )
  }
}

function tidy(marks: MarksChange): MarksChange {
  return {
    ...marks,
    ...(typeof marks.caption === 'string' ? { caption: marks.caption.trim() } : {}),
    ...(marks.captions ? { captions: marks.captions.map((caption) => caption.trim()).filter((caption) => caption !== '') } : {}),
    ...(marks.tags ? { tags: [...new Set(marks.tags)] } : {}),
  }
}
