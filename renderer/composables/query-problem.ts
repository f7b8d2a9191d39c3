import type { StudioError, WireError } from '#contracts/errors.ts'
import { queryMistake } from '#contracts/query-mistake.ts'

type Say = (key: string, values: Record<string, unknown>) => string

/** What is wrong with a query, in the language of `t`; what is none of the language's own mistakes stays as the services say it. */
export function sayQueryProblem(error: Pick<StudioError, 'message' | 'details'>, t: Say): string {
  return sayQueryMistake(error, t) ?? error.message
}

/** The same; null for what is none of the language's own mistakes. */
export function sayQueryMistake({ details }: Pick<WireError, 'details'>, t: Say): string | null {
  const known = queryMistake.safeParse(details)
  if (!known.success) return null
  const { mistake, values, position } = known.data
  return t('queryMistake.at', { sentence: t(`queryMistake.${mistake}`, values), n: position + 1 })
}
