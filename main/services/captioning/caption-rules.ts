import type { CaptionRules } from '#contracts/captioning.ts'
import { marks, tag, type Marks } from '#contracts/curation.ts'
import { isNameOnly } from '../../media/sources/name-only.ts'
import type { Words } from '../../store/item-store.ts'
import type { Said } from './captioner.ts'

const captionLimit = marks.shape.caption.maxLength!
const captionsLimit = 20
const tagsLimit = 200

export type ItemWords = Pick<Marks, 'caption' | 'captions' | 'tags'>

/**
 * The words of an item after a captioner said something of it.
 *
 * @param made captions that captioners wrote for this item before; anything else that stands there is people's own
 */
export function applySaid(item: Words, said: Said, rules: CaptionRules, made: ReadonlySet<string>): ItemWords & { kept: boolean } {
  const { caption, captions } = item
  const tags = changedTags(item.tags, said.tags, rules.tags)
  const text = said.caption === null ? '' : oneLine(said.caption)
  const as = (change: Partial<ItemWords>, kept = false) => ({ caption, captions, tags, ...change, kept })
  if (text === '' || rules.caption === 'none') return as({})
  const free = caption === '' || isNameOnly(item)
  switch (rules.caption) {
    case 'fill':
      return free ? as({ caption: text }) : as({}, true)
    case 'replace':
      return free || made.has(caption) || rules.overHandwritten ? as({ caption: text }) : as({}, true)
    case 'append':
      return as({ caption: joined(caption, text, text) })
    case 'prefix':
      return as({ caption: joined(text, caption, text) })
    case 'second':
      if (caption === '') return as({ caption: text })
      return caption === text || captions.includes(text) || captions.length >= captionsLimit
        ? as({})
        : as({ captions: [...captions, text] })
  }
}

/** Whether anything that a captioner could say would be used for an item; what would not is not asked for. */
export function isWanted(item: Words, gives: { caption: boolean; tags: boolean }, rules: CaptionRules, made: ReadonlySet<string>): boolean {
  if (gives.tags && rules.tags !== 'none') return true
  return gives.caption && rules.caption !== 'none' && !applySaid(item, { caption: '-', tags: [] }, rules, made).kept
}

/** Two texts with a comma between; a text that is there already is not added again. */
function joined(first: string, second: string, added: string): string {
  if (first === '' || second === '') return first || second
  const before = added === first ? second : first
  if (before === added || before.startsWith(`${added}, `) || before.endsWith(`, ${added}`)) return before
  const whole = `${first}, ${second}`
  return whole.length > captionLimit ? before : whole
}

function changedTags(before: string[], said: readonly string[], how: CaptionRules['tags']): string[] {
  const good = said.flatMap((one) => tag.safeParse(one).data ?? [])
  if (how === 'none' || good.length === 0) return before
  return [...new Set(how === 'add' ? [...before, ...good] : good)].slice(0, Math.max(tagsLimit, how === 'add' ? before.length : 0))
}

function oneLine(text: string): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, captionLimit)
    .toWellFormed()
}
