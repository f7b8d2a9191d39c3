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

/** The facts of an item as a record. `wanted` are the facts that it shall have; those without a value are null, or not there at all. */
export function factRecord(
  item: ExportItem,
  wanted: readonly FactName[] = factNames,
  { isWhole }: { isWhole: boolean } = { isWhole: false },
): Record<string, unknown> {
  const entries = wanted.map((name) => [keys[name], factOf(item, name)] as const)
  return Object.fromEntries(isWhole ? entries : entries.filter(([, value]) => value !== null))
}

/** A caption as the content of a text file: one line, since many readers take no more than the first. */
export function captionLine({ caption, tags }: Pick<ExportItem, 'caption' | 'tags'>, how: ExportPlan['tags']): string {
  const line = caption.replace(/[\s\p{Cc}]+/gu, ' ').trim()
  return how === 'beside' ? line : [...(line === '' ? [] : [line]), ...tags].join(', ')
}
