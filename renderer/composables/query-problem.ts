import type { StudioError } from '#contracts/errors.ts'
import { queryMistake } from '#contracts/query-mistake.ts'

/** What is wrong with a query, in the language of `t`; what is none of the language's own mistakes stays as the services say it. */
export function sayQueryProblem({ message, details }: StudioError, t: (key: string, values: Record<string, unknown>) => string): string {
  const known = queryMistake.safeParse(details)
  if (!known.success) return message
  const { mistake, values, position } = known.data
  return t('queryMistake.at', { sentence: t(`queryMistake.${mistake}`, values), n: position + 1 })
}
