import vm from 'node:vm'
import { marks, type CurationChange, type Marks } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Words } from '../store/item-store.ts'

type Rule = Exclude<CurationChange, { kind: 'set' }>

const patternMs = 1000
const captionLimit = marks.shape.caption.maxLength!
const tagLimit = 200

export type Changed = Pick<Marks, 'caption' | 'captions' | 'tags'>

/**
 * The words of some items after a rule, in the order of `items`.
 *
 * @throws StudioError invalid-request when a caption or list would become too long, or a regular expression is wrong or slow.
 */
export function applyRule(rule: Rule, items: readonly Words[]): Changed[] {
  if (rule.kind === 'tag') return items.map((item) => ({ caption: item.caption, captions: item.captions, tags: changeTags(item, rule) }))
  const texts = items.flatMap(({ caption, captions }) => [caption, ...captions])
  const { after, tooLong } = rule.kind === 'affix' ? shorten(texts, (text) => affix(text, rule)) : replace(texts, rule)
  if (tooLong) throw tooLongCaption(items, tooLong)
  const rest = after.values()
  const next = () => rest.next().value!
  return items.map(({ captions, tags }) => ({ caption: next(), captions: captions.map(next), tags }))
}

/** Texts after a change; it stops at the first that becomes too long, before all of them fill the memory. */
interface Texts {
  after: string[]
  tooLong: { index: number; length: number } | null
}

function shorten(texts: readonly string[], change: (text: string) => string): Texts {
  const after: string[] = []
  for (const [index, text] of texts.entries()) {
    const changed = change(text)
    if (changed.length > captionLimit) return { after, tooLong: { index, length: changed.length } }
    after.push(changed)
  }
  return { after, tooLong: null }
}

function affix(text: string, { prefix, suffix }: Extract<Rule, { kind: 'affix' }>): string {
  const begun = text.startsWith(prefix) ? text : `${prefix}${text}`
  return (begun.endsWith(suffix) ? begun : `${begun}${suffix}`).trim()
}

function replace(texts: string[], { find, with: by, regularExpression, matchCase }: Extract<Rule, { kind: 'replace' }>): Texts {
  const flags = matchCase ? 'gu' : 'giu'
  if (!regularExpression) {
    const pattern = new RegExp(find.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), flags)
    return shorten(texts, (text) => text.replace(pattern, () => by))
  }
  try {
    new RegExp(find, flags)
  } catch (cause) {
    throw new StudioError(
      'invalid-request',
      `"${find}" is not a regular expression (${(cause as Error).message}). Correct it, or look for it as plain text.`,
      { cause },
    )
  }
  try {
    // A pattern can take for ever on a short text; only a context of its own can be stopped. What runs in it is always the same.
    return vm.runInNewContext(patternRun, { texts, find, flags, by, shorten }, { timeout: patternMs }) as Texts
  } catch (cause) {
    throw new StudioError(
      'invalid-request',
      `"${find}" takes longer than ${patternMs / 1000} second on these captions, so nothing was changed. Write it without repeats inside repeats, or choose fewer pictures.`,
      { cause },
    )
  }
}

const patternRun = '{ const pattern = new RegExp(find, flags); shorten(texts, (text) => text.replace(pattern, by)) }'

function changeTags({ tags, source }: Words, { add, remove }: Extract<Rule, { kind: 'tag' }>): string[] {
  const changed = tags.filter((tag) => !remove.includes(tag))
  for (const tag of add) if (!changed.includes(tag) && !remove.includes(tag)) changed.push(tag)
  if (changed.length <= tagLimit || changed.length <= tags.length) return changed
  throw new StudioError(
    'invalid-request',
    `"${source}" would have ${changed.length} tags, more than ${tagLimit}, so nothing was changed. Remove some of its tags first.`,
  )
}

function tooLongCaption(items: readonly Words[], { index, length }: { index: number; length: number }): StudioError {
  const owner = items.flatMap((item) => [item, ...item.captions.map(() => item)])[index]!
  return new StudioError(
    'invalid-request',
    `The caption of "${owner.source}" would have ${length} characters, more than ${captionLimit}, so nothing was changed. Choose a shorter text or fewer pictures.`,
  )
}
