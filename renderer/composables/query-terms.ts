import type { MeasureName } from '#contracts/curation.ts'

export type Side = 'above' | 'below'

/** What the query language calls a measure, where that differs. */
const fieldNames: Partial<Record<MeasureName, string>> = { clippedDark: 'dark', clippedBright: 'bright' }

/** A bound on a measure as a term of the query language: blur>=0.42. */
export function boundTerm(measure: MeasureName, side: Side, value: number): string {
  return `${fieldNames[measure] ?? measure}${side === 'above' ? '>=' : '<='}${shortNumber(value)}`
}

/** A query without its bounds on a measure. */
export function withoutBound(text: string, measure: MeasureName): string {
  const name = fieldNames[measure] ?? measure
  return text
    .split(/\s+(?=(?:[^"]*"[^"]*")*[^"]*$)/) // spaces inside quotes do not part terms
    .filter((term) => !new RegExp(`^${name}(>=|<=|>|<|:[\\d.])`, 'i').test(term))
    .join(' ')
    .trim()
}

/** A query with this bound on a measure instead of those it has. */
export function withBound(text: string, measure: MeasureName, side: Side, value: number): string {
  return `${withoutBound(text, measure)} ${boundTerm(measure, side, value)}`.trim()
}

/** Whether a query asks for what only measured pictures have: figures, and who looks like whom. */
export function asksForMeasures(text: string): boolean {
  return /(^|[\s(-])(blur|brightness|dark|bright|watermark|nearest|duplicate|leak)\s*[:<>=!]/i.test(text)
}

/** As many places as a person can tell apart; whole numbers stay whole. */
export function shortNumber(value: number): string {
  return (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))).toString()
}

/** Terms to begin with. */
export const queryExamples: readonly string[] = [
  'tag:cat',
  'rating>=4',
  'pick:reject',
  'repeats>1',
  'width<512',
  'blur>=0.5',
  'watermark>=0.5',
  'captioned:no',
  'duplicate:yes',
  'leak:yes',
  'split:validation',
  'state:partial',
]
