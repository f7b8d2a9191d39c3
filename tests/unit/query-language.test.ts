import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { englishOf, queryMistake, queryMistakes } from '#contracts/query-mistake.ts'
import { parseQuery } from '#main/store/query/parse.ts'

const words = (text: string, exact = false) => ({ kind: 'words', text, exact })
const number = (field: string, comparison: string, value: number) => ({ kind: 'number', field, comparison, value })

describe('a question', () => {
  test.each([
    ['', { kind: 'all' }],
    ['  ', { kind: 'all' }],
    ['apple', words('apple')],
    ['red apple', { kind: 'and', parts: [words('red'), words('apple')] }],
    ['red AND apple', { kind: 'and', parts: [words('red'), words('apple')] }],
    ['and or not', { kind: 'and', parts: [words('and'), words('or'), words('not')] }],
    ['"red apple"', words('red apple', true)],
    ['"say \\"hi\\""', words('say "hi"', true)],
    ['a b OR c', { kind: 'or', parts: [{ kind: 'and', parts: [words('a'), words('b')] }, words('c')] }],
    ['a (b OR c)', { kind: 'and', parts: [words('a'), { kind: 'or', parts: [words('b'), words('c')] }] }],
    ['NOT a b', { kind: 'and', parts: [{ kind: 'not', part: words('a') }, words('b')] }],
    ['-tag:x', { kind: 'not', part: { kind: 'text', field: 'tag', text: 'x' } }],
    ['-(a OR b)', { kind: 'not', part: { kind: 'or', parts: [words('a'), words('b')] } }],
    ['x-ray', words('x-ray')],
    ['NOTHING ORANGE ANDES', { kind: 'and', parts: [words('NOTHING'), words('ORANGE'), words('ANDES')] }],
    ['tag:"red apple"', { kind: 'text', field: 'tag', text: 'red apple' }],
    ['rating>=4', number('rating', '>=', 4)],
    ['RATING:4', number('rating', '=', 4)],
    ['blur<.2', number('blur', '<', 0.2)],
    ['width:512..1024', { kind: 'and', parts: [number('width', '>=', 512), number('width', '<=', 1024)] }],
    ['split:Train', { kind: 'choice', field: 'split', value: 'train' }],
    ['split!=train', { kind: 'not', part: { kind: 'choice', field: 'split', value: 'train' } }],
    ['bucket:512x768', { kind: 'choice', field: 'bucket', value: '512x768' }],
    ['"a:b"', words('a:b', true)],
    ['红苹果', words('红苹果')],
  ])('%j is read as it is meant', (text, query) => expect(parseQuery(text)).toEqual(query))
})

describe('a mistake', () => {
  test.each([
    ['colour:red', 0, 6, 'There is no field "colour"'],
    ['a http://x', 2, 4, 'put quotes around words that hold a ":"'],
    ['rating>=good', 0, 12, '"good" is not a number. Write it as in rating>=4'],
    ['a width:1..', 2, 9, '"1.." is not a number'],
    ['rating>=', 0, 8, 'After "rating>=" a value is missing, as in rating>=4'],
    ['tag: cat', 0, 4, 'After "tag:" a value is missing, as in tag:cat'],
    ['tag>cat', 0, 7, '"tag" has no order, so ">" means nothing for it'],
    ['split:dev', 0, 9, '"split" cannot be "dev". It is train, validation, test, as in split:train'],
    ['bucket:wide', 0, 11, 'It is a width and a height, as in bucket:512x768'],
    ['(a b', 0, 1, 'This "(" is never closed'],
    ['a b)', 3, 1, 'This ")" closes nothing'],
    ['a ()', 3, 1, 'Before this ")" something is missing'],
    ['"a b', 0, 4, 'This quote is never closed'],
    ['a OR', 4, 0, 'Something is missing at the end'],
    ['OR a', 0, 2, 'Before "OR" something is missing'],
    ['a AND OR b', 6, 2, 'Before "OR" something is missing'],
    ['NOT', 3, 0, 'Something is missing at the end'],
    ['('.repeat(40), 33, 1, 'More than 32 levels'],
    ['-'.repeat(100) + 'a', 33, 1, 'More than 32 levels'],
    ['a '.repeat(101), 200, 1, 'More than 100 terms'],
  ])('%j is told with its place', (text, position, length, sentence) => {
    const mistake = (() => {
      try {
        parseQuery(text)
      } catch (error) {
        return error as StudioError
      }
      return null
    })()
    expect(mistake).toBeInstanceOf(StudioError)
    expect(mistake!.message).toContain(sentence)
    expect(mistake!.message).toMatch(new RegExp(`\\(character ${position + 1} of the search\\)\\.$`))
    expect(mistake).toMatchObject({ code: 'invalid-request', details: { position, length } })
    // What crosses the wire is enough for the window to say it in its own language.
    const details = queryMistake.parse(mistake!.details)
    expect(englishOf(details)).toBe(mistake!.message)
    for (const [, name] of queryMistakes[details.mistake].matchAll(/\{(\w+)\}/g)) expect(details.values).toHaveProperty(name!)
  })
})
