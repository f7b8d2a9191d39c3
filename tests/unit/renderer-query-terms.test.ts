import { expect, test } from 'vitest'
import { asksForMeasures, boundTerm, shortNumber, withBound, withoutBound } from '#renderer/composables/query-terms.ts'

test('a threshold becomes a term that says the same', () => {
  expect(boundTerm('blur', 'above', 0.41999)).toBe('blur>=0.42')
  expect(boundTerm('clippedDark', 'below', 0.1)).toBe('dark<=0.1')
})

test('a new threshold takes the place of those on the same measure and leaves the words and other terms alone', () => {
  const text = 'red "apple  tree" width>=512 blur>0.3 tag:cat'
  expect(withBound(text, 'width', 'below', 900)).toBe('red "apple  tree" blur>0.3 tag:cat width<=900')
  expect(withoutBound(text, 'blur')).toBe('red "apple  tree" width>=512 tag:cat')
  expect(withoutBound('width:512..1024 a', 'width')).toBe('a')
})

test.each([
  ['duplicate:yes', true],
  ['red (blur>=0.5 OR leak:yes)', true],
  ['-watermark>=0.5', true],
  ['red blur', false],
  ['tag:bright', false],
  ['width>=512', false],
])('asks for what only measured pictures have: %s', (text, expected) => {
  expect(asksForMeasures(text)).toBe(expected)
})

test('a width of 1,024 pixels is not shortNumber to 1,020', () => {
  expect([shortNumber(1024.4), shortNumber(0.123456), shortNumber(12.345)]).toEqual(['1024', '0.123', '12.3'])
})
