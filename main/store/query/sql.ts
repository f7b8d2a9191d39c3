import type { CurationFilter, Size } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import { centered } from '../../media/training-crop.ts'
import { queryFields, type FieldName } from './fields.ts'
import { parseQuery, type Query } from './parse.ts'

/** A condition on the rows of `curated`, true or false and never null; what people typed is in `values` alone. */
export interface Condition {
  sql: string
  values: (string | number)[]
}

/** @throws StudioError invalid-request on a mistake in the question. */
export function whereOf({ text, buckets }: CurationFilter): Condition {
  return conditionOf(parseQuery(text), buckets)
}

/** Whether the text index is asked. */
export function asksWords(query: Query): boolean {
  if (query.kind === 'and' || query.kind === 'or') return query.parts.some(asksWords)
  return query.kind === 'not' ? asksWords(query.part) : query.kind === 'words'
}

function conditionOf(query: Query, buckets: readonly Size[]): Condition {
  switch (query.kind) {
    case 'all':
      return { sql: '1', values: [] }
    case 'and':
    case 'or': {
      const parts = query.parts.map((part) => conditionOf(part, buckets))
      return { sql: `(${parts.map(({ sql }) => sql).join(` ${query.kind} `)})`, values: parts.flatMap(({ values }) => values) }
    }
    case 'not': {
      const { sql, values } = conditionOf(query.part, buckets)
      return { sql: `NOT ${sql}`, values }
    }
    case 'words':
      return words(query.text, query.exact)
    case 'number':
      return { sql: `coalesce(${column(query.field)} ${query.comparison} ?, 0)`, values: [query.value] }
    case 'text':
      return text(query.field, query.text)
    case 'choice':
      return choice(query.field, query.value, buckets)
  }
}

/** Scripts that are written without spaces have no words that the text index could find: these are looked for letter by letter. */
const unspaced = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u

function words(wanted: string, exact: boolean): Condition {
  if (unspaced.test(wanted) || !/[\p{L}\p{N}]/u.test(wanted)) {
    return holds(['caption', 'captions', 'tags', 'source'], wanted)
  }
  const phrase = `"${wanted.replaceAll('"', '""')}"${exact ? '' : '*'}`
  return { sql: 'row IN (SELECT rowid FROM itemText WHERE itemText MATCH ?)', values: [phrase] }
}

function text(field: FieldName, wanted: string): Condition {
  if (field === 'id') return { sql: 'id = ?', values: [wanted] }
  if (field === 'tag') {
    const one = wanted.normalize('NFC').replace(/\s+/g, ' ').trim().toLowerCase()
    // The list is searched as text first, which is fast, and then as a list, which is right.
    return { sql: '(instr(tags, ?) > 0 AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?))', values: [JSON.stringify(one), one] }
  }
  return holds([column(field)], wanted)
}

const yesNo: Partial<Record<FieldName, string>> = {
  duplicate: `duplicate <> 'none'`,
  leak: leakSql(),
  captioned: `caption <> ''`,
  tagged: `tags <> '[]'`,
  measured: 'blur IS NOT NULL',
}

/** Whether an item has a duplicate in another split; a rejected one is in none. */
export function leakSql(): string {
  return `(pick <> 'reject' AND ${twinSql('other.split <> curated.split')})`
}

/** The same for counts over all items: which groups lie in two splits is found out once, which takes too long for a page of items. */
export function leakCountSql(): string {
  return `(pick <> 'reject' AND duplicateGroup IS NOT NULL AND duplicateGroup IN (SELECT duplicateGroup FROM curated
    WHERE duplicateGroup IS NOT NULL AND here AND pick <> 'reject' GROUP BY duplicateGroup HAVING min(split) <> max(split)))`
}

/** Whether a duplicate of an item is better: it has more pixels, or as many and came first. */
const extra = twinSql(`(other.megapixels > curated.megapixels OR (other.megapixels = curated.megapixels AND other.row < curated.row))`)

function twinSql(how: string): string {
  return `(duplicateGroup IS NOT NULL AND EXISTS (SELECT 1 FROM curated AS other
    WHERE other.duplicateGroup = curated.duplicateGroup AND other.here AND other.pick <> 'reject' AND ${how}))`
}

function choice(field: FieldName, value: string, buckets: readonly Size[]): Condition {
  const question = yesNo[field]
  if (question && value === 'yes') return { sql: `(${question})`, values: [] }
  if (question && value === 'no') return { sql: `NOT (${question})`, values: [] }
  if (field === 'bucket') {
    const wanted = buckets.findIndex(({ width, height }) => `${width}x${height}` === value)
    if (wanted < 0) {
      throw new StudioError(
        'invalid-request',
        `There is no bucket ${value}. The buckets are ${buckets.map(({ width, height }) => `${width}x${height}`).join(', ') || 'none, so add some first'}.`,
      )
    }
    return { sql: 'bucketOf(frameWidth, frameHeight, ?) = ?', values: [JSON.stringify(buckets), wanted] }
  }
  if (field === 'duplicate' && value === 'extra') return { sql: extra, values: [] }
  if (field === 'crop' && value === 'waiting') return { sql: `(crop <> coalesce(madeCrop, '${centered}'))`, values: [] }
  if (field === 'crop' && value === 'away') return { sql: '(madeAway IS NOT NULL AND crop = madeCrop)', values: [] }
  if (field === 'crop') return { sql: `json_extract(crop, '$.kind') = ?`, values: [value] }
  return { sql: `coalesce(${field} = ?, 0)`, values: [value] }
}

function column(field: FieldName): string {
  const asked = queryFields[field]
  return 'column' in asked ? asked.column : field
}

/** Whether one of some columns holds a text as it stands, in any case of its letters. */
export function holds(columns: readonly string[], wanted: string): Condition {
  const like = `%${wanted.replace(/[\\%_]/g, '\\$&')}%`
  return { sql: `(${columns.map((name) => `${name} LIKE ? ESCAPE '\\'`).join(' OR ')})`, values: columns.map(() => like) }
}
