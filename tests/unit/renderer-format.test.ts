import { describe, expect, test } from 'vitest'
import { bytes, clock, count, rounded, smooth } from '#renderer/composables/format.ts'
import { keyName } from '#renderer/composables/keys.ts'
import { en } from '#renderer/locales/en.ts'
import { zhCN } from '#renderer/locales/zh-CN.ts'

describe('numbers for people', () => {
  test('a time under an hour is minutes and seconds, a longer one has hours', () => {
    expect([clock(0), clock(425), clock(3723), clock(90_000)]).toEqual(['00:00', '07:05', '1:02:03', '25:00:00'])
  })
  test('a time is rounded to whole seconds and never negative', () => {
    expect([clock(59.6), clock(-3)]).toEqual(['01:00', '00:00'])
  })
  test('a large number is rounded to the words of each language', () => {
    expect([rounded(2_534_021, 'en'), rounded(2_534_021, 'zh-CN'), rounded(133_912_345, 'zh-CN')]).toEqual([
      '2.53 million',
      '253万',
      '1.34亿',
    ])
  })
  test('thousands are marked as each language does', () => {
    expect([count(1240, 'en'), count(1240, 'zh-CN')]).toEqual(['1,240', '1,240'])
  })
  test('bytes take the largest unit that keeps the number at least one', () => {
    expect([bytes(0), bytes(1023), bytes(1536), bytes(3 * 2 ** 30)]).toEqual(['0 B', '1023 B', '1.5 KiB', '3.0 GiB'])
  })
})

describe('a smoothed curve', () => {
  test('of equal values is that value', () => {
    expect(smooth([2, 2, 2], 0.5)).toEqual([2, 2, 2])
  })
  test('stays on a straight line: it does not trail behind a loss that falls', () => {
    const line = Array.from({ length: 201 }, (_, i) => 1000 - 5 * i)
    expect(smooth(line, 0.1).slice(0, 181)).toEqual(line.slice(0, 181))
  })
  test('starts where the curve starts, and flattens a late spike', () => {
    const spike = Array.from({ length: 101 }, (_, i) => (i === 50 ? 11 : 0))
    expect(smooth(spike, 0.1)[50]).toBe(1)
    expect(smooth([7, 1, 1], 0.1)[0]).toBe(7)
  })
  test('reaches no further than it may', () => {
    const late = Array.from({ length: 1001 }, (_, i) => (i === 1000 ? 3 : 0))
    expect(smooth(late, 0.5, 2).slice(996)).toEqual([0, 0, 0.6, 0.75, 1])
  })
  test('is nothing before the first value, and goes on over steps that were not measured', () => {
    expect(smooth([null, 4, null, 8], 0.1)).toEqual([null, 4, 4, 8])
  })
})

describe('the name of a pressed key', () => {
  const pressed = (key: string, over: Partial<Record<'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey', boolean>> = {}) =>
    keyName({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...over })

  test('of a letter is upper case, whether or not shift or caps lock made it so', () => {
    expect([pressed('p'), pressed('P', { shiftKey: true })]).toEqual(['P', 'P'])
  })
  test('says Ctrl for the Mac command key as well', () => {
    expect([pressed('Enter', { ctrlKey: true }), pressed('Enter', { metaKey: true })]).toEqual(['Ctrl+Enter', 'Ctrl+Enter'])
  })
  test('of a sign that needs shift is the sign', () => {
    expect(pressed('?', { shiftKey: true })).toBe('?')
  })
  test('of the space bar can be read', () => {
    expect(pressed(' ')).toBe('Space')
  })
})

describe('the Chinese sentences', () => {
  const sentences = (tree: object, path = ''): [string, string][] =>
    Object.entries(tree).flatMap(([key, value]) =>
      typeof value === 'string' ? [[path + key, value]] : sentences(value as object, `${path}${key}.`),
    )
  const english = new Map(sentences(en))
  const chinese = new Map(sentences(zhCN))
  const placeholders = (text: string) => [...new Set([...text.matchAll(/\{\w+\}/g)].map(String))].sort() // once, where a singular stands beside its plural

  test('are there for every English one and for nothing else', () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort())
  })
  test('are given the same numbers and names as the English ones', () => {
    for (const [key, text] of english) expect([key, placeholders(chinese.get(key) ?? '')]).toEqual([key, placeholders(text)])
  })
})
