import { z } from 'zod'

/**
 * What can be wrong with a question in the query language, in English: what a terminal says, and what other languages translate. Names in braces
 * are the mistake's values.
 */
export const queryMistakes = {
  'closes-nothing': 'This ")" closes nothing. Remove it, or open it with "(" before',
  'never-closed': 'This "(" is never closed. Add a ")"',
  'before-closing': 'Before this ")" something is missing. Write a term there or remove it',
  'before-word': 'Before "{word}" something is missing. Write a term on both sides of it',
  'at-end': 'Something is missing at the end. Write a term there',
  'open-quote': 'This quote is never closed. Add a " at its end',
  'too-deep': 'More than {most} levels of parentheses and NOT. Ask in fewer',
  'too-many': 'More than {most} terms. Ask for less at once',
  'no-field': 'There is no field "{name}". Fields are {fields}; put quotes around words that hold a "{sign}"',
  'no-value': 'After "{head}" a value is missing, as in {example}',
  'no-number': '"{value}" is not a number. Write it as in {example}',
  'no-order': '"{field}" has no order, so "{sign}" means nothing for it. Write it as in {example}',
  'no-choice': '"{field}" cannot be "{value}". It is {choices}, as in {example}',
  'no-size': '"{field}" cannot be "{value}". It is a width and a height, as in {example}',
}

export const queryMistakeName = z.enum(Object.keys(queryMistakes) as (keyof typeof queryMistakes)[])
export type QueryMistakeName = z.infer<typeof queryMistakeName>

/** The details of the `invalid-request` that a question with a mistake ends with; places are characters of its text. */
export const queryMistake = z.object({
  mistake: queryMistakeName,
  values: z.record(z.string(), z.union([z.string(), z.number()])),
  position: z.number().int(),
  length: z.number().int(),
})
export type QueryMistake = z.infer<typeof queryMistake>

export function englishOf({ mistake, values, position }: QueryMistake): string {
  const sentence = queryMistakes[mistake].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]))
  return `${sentence} (character ${position + 1} of the search).`
}
