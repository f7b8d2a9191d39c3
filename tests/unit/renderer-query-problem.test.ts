import { createI18n } from 'vue-i18n'
import { expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { queryMistakes, type QueryMistakeName } from '#contracts/query-mistake.ts'
import { parseQuery } from '#main/store/query/parse.ts'
import { sayQueryProblem } from '#renderer/composables/query-problem.ts'
import { en } from '#renderer/locales/en.ts'
import { zhCN } from '#renderer/locales/zh-CN.ts'

const said = {
  en: createI18n({ legacy: false, locale: 'en', messages: { en } }),
  zh: createI18n({ legacy: false, locale: 'zh', messages: { zh: zhCN } }),
}
const inEnglish = (error: StudioError) => sayQueryProblem(error, (key, values) => said.en.global.t(key, values))
const inChinese = (error: StudioError) => sayQueryProblem(error, (key, values) => said.zh.global.t(key, values))

/** A question for each mistake that there is. */
const wrong = {
  'closes-nothing': 'a b)',
  'never-closed': '(a b',
  'before-closing': 'a ()',
  'before-word': 'OR a',
  'at-end': 'NOT',
  'open-quote': '"a b',
  'too-deep': '('.repeat(40),
  'too-many': 'a '.repeat(101),
  'no-field': 'colour:{red}|@x',
  'no-value': 'rating>=',
  'no-number': 'rating>=a{b}|@c',
  'no-order': 'tag>cat',
  'no-choice': 'split:dev',
  'no-size': 'bucket:wide',
} satisfies Record<QueryMistakeName, string>

function mistakeIn(text: string): StudioError {
  try {
    parseQuery(text)
  } catch (error) {
    if (error instanceof StudioError) return error
  }
  throw new Error(`"${text}" has no mistake`)
}

test.each(Object.entries(wrong))('%s is said in both languages, with what was typed as it was typed', (name, text) => {
  const mistake = mistakeIn(text)
  expect(mistake.details).toMatchObject({ mistake: name })
  expect(inEnglish(mistake)).toBe(mistake.message)
  const chinese = inChinese(mistake)
  expect(chinese).toMatch(/\p{sc=Han}{3}/u)
  expect(chinese).not.toMatch(/queryMistake|Write|missing|never|There is/)
  for (const [, value] of queryMistakes[name as QueryMistakeName].matchAll(/\{(\w+)\}/g))
    expect(chinese).toContain(String((mistake.details?.['values'] as Record<string, unknown>)[value!]))
  expect(chinese).toMatch(/第 \d+ 个字符/)
})

test('what is no mistake of the language stays as the services say it', () => {
  expect(inChinese(new StudioError('invalid-request', 'There is no bucket 1x1.'))).toBe('There is no bucket 1x1.')
})
