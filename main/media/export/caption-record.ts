import type { ExportPlan } from '#contracts/export.ts'
import { factNames, factOf, type ExportItem, type FactName } from './export-item.ts'

/** What facts are called in the records that other programs read. */
const keys: Readonly<Record<FactName, string>> = {
  captions: 'captions',
  tags: 'tags',
  author: 'author',
  licence: 'license',
  consent: 'consent',
  origin: 'origin',
  repeats: 'repeats',
  concept: 'concept',
}

/** The facts of an item as a record, of `wanted` ones; those of which nothing is said are not there. */
export function factRecord(item: ExportItem, wanted: readonly FactName[] = factNames): Record<string, unknown> {
  const entries = wanted.map((name) => [keys[name], factOf(item, name)] as const)
  return Object.fromEntries(entries.filter(([, value]) => value !== null))
}

/** What stands for nothing said where readers take the types of columns from the first line of a list; null tells none. An import makes nothing of it. */
const nothingSaid: Readonly<Record<FactName, string | number | string[]>> = {
  ...{ captions: [''], tags: [''], author: '', licence: '', consent: 'unknown', origin: '', repeats: 1, concept: '' },
}

/** The facts of an item as a line of a list, in which every line has the columns `wanted`. `isFirst`: none of them may be null. */
export function factColumns(item: ExportItem, wanted: readonly FactName[], { isFirst }: { isFirst: boolean }): Record<string, unknown> {
  return Object.fromEntries(wanted.map((name) => [keys[name], factOf(item, name) ?? (isFirst ? nothingSaid[name] : null)]))
}

/** A caption as the content of a text file: one line, since many readers take no more than the first. */
export function captionLine({ caption, tags }: Pick<ExportItem, 'caption' | 'tags'>, how: ExportPlan['tags']): string {
  const line = caption.replace(/[\s\p{Cc}]+/gu, ' ').trim()
  return how === 'beside' ? line : [...(line === '' ? [] : [line]), ...tags].join(', ')
}
