import vm from 'node:vm'
import { marks, type CurationChange, type Marks } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Words } from '../store/item-store.ts'

type Rule = Exclude<CurationChange, { kind: 'set' }>

const patternMs = 1000

/**
 * The words of some items after a rule, in the order of `items`.
 *
 * @throws StudioError invalid-request when a caption or list would become too long, or a regular expression is wrong or slow.
 */
export function applyRule(rule: Rule, items: readonly Words[]): Pick<Marks, 'caption' | 'captions' | 'tags'>[] {
  const changed = changedWords(rule, items)
  for (const [index, words] of changed.entries()) checkWords(words, items[index]!)
  return changed
}

function changedWords(rule: Rule, items: readonly Words[]): Pick<Marks, 'caption' | 'captions' | 'tags'>[] {
  if (rule.kind === 'tag') return items.map(({ caption, captions, tags }) => ({ caption, captions, tags: changeTags(tags, rule) }))
  const texts = items.flatMap(({ caption, captions }) => [caption, ...captions])
  const after = (rule.kind === 'affix' ? texts.map((text) => affix(text, rule)) : replace(texts, rule)).values()
  const next = () => after.next().value!
  return items.map(({ captions, tags }) => ({ caption: next(), captions: captions.map(next), tags }))
}

function changeTags(tags: readonly string[], { add, remove }: Extract<Rule, { kind: 'tag' }>): string[] {
  return [...new Set([...tags, ...add])].filter((tag) => !remove.includes(tag))
}

function affix(text: string, { prefix, suffix }: Extract<Rule, { kind: 'affix' }>): string {
  const begun = text.startsWith(prefix) ? text : `${prefix}${text}`
  return (begun.endsWith(suffix) ? begun : `${begun}${suffix}`).trim()
}

function replace(texts: string[], { find, with: by, regularExpression, matchCase }: Extract<Rule, { kind: 'replace' }>): string[] {
  const flags = matchCase ? 'gu' : 'giu'
  if (!regularExpression) {
    const pattern = new RegExp(find.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), flags)
    return texts.map((text) => text.replace(pattern, () => by))
  }
  try {
    new RegExp(find, flags)
  } catch (cause) {
    throw new StudioError(
      'invalid-request',
      `"${find}" is not a regular expression (${(cause as Error).message}). Correct it, or look for it as plain text.`,
      {
        cause,
      },
    )
  }
  try {
    // A pattern can take for ever on a short text; only a context of its own can be stopped. What runs in it is always the same.
    const run = 'texts.map((text) => text.replace(new RegExp(find, flags), by))'
    return vm.runInNewContext(run, { texts, find, flags, by }, { timeout: patternMs }) as string[]
  } catch (cause) {
    throw new StudioError(
      'invalid-request',
      `"${find}" takes longer than ${patternMs / 1000} second on these captions, so nothing was changed. Write it without repeats inside repeats, or choose fewer pictures.`,
      { cause },
    )
  }
}

function checkWords({ caption, captions, tags }: Pick<Marks, 'caption' | 'captions' | 'tags'>, { source }: Words): void {
  const longest = [caption, ...captions].reduce((most, { length }) => Math.max(most, length), 0)
  const limit = marks.shape.caption.maxLength!
  if (longest > limit) {
    throw new StudioError(
      'invalid-request',
      `The caption of "${source}" would have ${longest} characters, more than ${limit}, so nothing was changed. Choose a shorter text or fewer pictures.`,
    )
  }
  if (tags.length > tagLimit) {
    throw new StudioError(
      'invalid-request',
      `"${source}" would have ${tags.length} tags, more than ${tagLimit}, so nothing was changed. Remove some of its tags first.`,
    )
  }
}

const tagLimit = 200
