import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fitTokenizer, Tokenizer } from '#engine/text/tokenizer.ts'

const captions = ['red apple', 'green apple', 'red heart', 'green heart', 'apple pie', 'Heart, broken']

describe('a tokenizer fitted on captions', () => {
  const model = fitTokenizer(captions, 200)
  const tokenizer = new Tokenizer(model)

  test('has one piece for a word that it has seen often', () => {
    const ids = tokenizer.encode('apple', 4)
    expect(model.vocabulary[ids[0]!]).toBe('apple\u2581')
    expect([...ids.slice(1)]).toEqual([0, 0, 0])
  })

  test('gives the empty prompt nothing but padding', () => {
    expect([...tokenizer.encode('', 3)]).toEqual([0, 0, 0])
    expect([...tokenizer.encode('   \n', 3)]).toEqual([0, 0, 0])
  })

  test('does not care for capitals or for how letters are composed', () => {
    expect(tokenizer.encode('RED  Apple', 6)).toEqual(tokenizer.encode('red apple', 6))
    const accents = new Tokenizer(fitTokenizer(['caf\u00e9 caf\u00e9'], 50))
    expect(accents.encode('cafe\u0301', 6)).toEqual(accents.encode('caf\u00e9', 6))
  })

  test('spells a word it has never seen in pieces it knows, and names the words it cannot spell', () => {
    expect([...tokenizer.encode('pear', 8)].filter((id) => id === 1)).toEqual([])
    expect(tokenizer.unknownWords('red 苹果')).toEqual(['苹果'])
  })

  test('is the same for the same captions, and stays within its size', () => {
    expect(fitTokenizer(captions, 200)).toEqual(model)
    expect(fitTokenizer(captions, 12).vocabulary.length).toBeLessThanOrEqual(12)
  })

  test('gives as many ids as asked for, all of the vocabulary, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.integer({ min: 1, max: 24 }), (text, length) => {
        const ids = tokenizer.encode(text, length)
        expect(ids.length).toBe(length)
        expect(ids.every((id) => id >= 0 && id < model.vocabulary.length)).toBe(true)
      }),
    )
  })
})
