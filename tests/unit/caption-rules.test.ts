import { describe, expect, test } from 'vitest'
import { captionRules } from '#contracts/captioning.ts'
import type { ItemId } from '#contracts/project.ts'
import { isNameOnly } from '#main/media/sources/name-only.ts'
import { applySaid } from '#main/services/captioning/caption-rules.ts'
import { completionsUrl, isNear } from '#main/services/captioning/server-address.ts'
import { tidyAnswer } from '#main/services/captioning/server-captioner.ts'

const nothing: ReadonlySet<string> = new Set()
const item = (caption: string, over: object = {}) => ({
  id: 'i' as ItemId,
  source: 'set/red-apple_02.png',
  caption,
  captions: [],
  tags: ['old'],
  ...over,
})
const apply = (caption: string, rules: object, made = nothing, over: object = {}) =>
  applySaid(item(caption, over), { caption: 'a  red\napple', tags: ['Fruit', 'old', 'a, b'] }, captionRules.parse(rules), made)

describe('what a captioner said', () => {
  test('fills empty places and mere file names, and never what people wrote', () => {
    expect(apply('', {})).toMatchObject({ caption: 'a red apple', kept: false })
    expect(apply('red apple', {})).toMatchObject({ caption: 'a red apple' })
    expect(apply('my own words', {})).toMatchObject({ caption: 'my own words', kept: true })
  })
  test('replaces what captioners wrote; what people wrote only when told', () => {
    expect(apply('by a machine', { caption: 'replace' }, new Set(['by a machine']))).toMatchObject({ caption: 'a red apple' })
    expect(apply('my own words', { caption: 'replace' })).toMatchObject({ caption: 'my own words', kept: true })
    expect(apply('my own words', { caption: 'replace', overHandwritten: true })).toMatchObject({ caption: 'a red apple' })
  })
  test('is put behind, before or beside what is there, once', () => {
    expect(apply('mine', { caption: 'append' }).caption).toBe('mine, a red apple')
    expect(apply('mine, a red apple', { caption: 'append' }).caption).toBe('mine, a red apple')
    expect(apply('mine', { caption: 'prefix' }).caption).toBe('a red apple, mine')
    expect(apply('mine', { caption: 'second' })).toMatchObject({ caption: 'mine', captions: ['a red apple'] })
    expect(apply('mine', { caption: 'second' }, nothing, { captions: ['a red apple'] }).captions).toEqual(['a red apple'])
  })
  test('adds tags to those that are there, replaces them, or leaves them; no tag has a comma', () => {
    expect(apply('', {}).tags).toEqual(['old', 'fruit'])
    expect(apply('', { tags: 'replace' }).tags).toEqual(['fruit', 'old'])
    expect(apply('', { tags: 'none' }).tags).toEqual(['old'])
  })
  test('goes where a kohya folder only named the concept', () => {
    expect(isNameOnly({ caption: 'cat', source: '30_cat/a.png' })).toBe(true)
    expect(isNameOnly({ caption: 'dog', source: '30_cat/a.png' })).toBe(false)
  })
})

describe('an address', () => {
  test.each([
    'http://127.0.0.1:1234',
    'http://localhost:11434/v1',
    'http://[::1]:8080/',
    'http://192.168.1.20:8000',
    'http://10.1.2.3',
    'http://[fd00::1]',
  ])('%s is near', (address) => expect(isNear(new URL(address))).toBe(true))
  test.each([
    'https://api.example.com',
    'http://169.254.169.254',
    'http://8.8.8.8',
    'http://0.0.0.0:1',
    'http://localhost.example.com',
    'http://my-box.local',
    'http://172.32.0.1',
    'http://[::ffff:8.8.8.8]',
  ])('%s is not, and needs a word that pictures leave this machine', (address) => {
    const { host } = new URL(address)
    expect(() => completionsUrl(address, null)).toThrow(`your pictures would leave this machine`)
    expect(() => completionsUrl(address, 'other')).toThrow(host)
    expect(completionsUrl(address, host).pathname).toBe('/v1/chat/completions')
  })
  test('leads to chat completions with and without /v1', () => {
    expect(completionsUrl('http://127.0.0.1:1', null).href).toBe('http://127.0.0.1:1/v1/chat/completions')
    expect(completionsUrl('http://127.0.0.1:1/v1/', null).href).toBe('http://127.0.0.1:1/v1/chat/completions')
    expect(completionsUrl('http://127.0.0.1:1/proxy/v1/chat/completions', null).href).toBe('http://127.0.0.1:1/proxy/v1/chat/completions')
  })
  test('holds no name or key, and neither is repeated', () => {
    for (const address of ['http://user:secret@127.0.0.1', 'file:///etc/passwd', 'nonsense', 'http://127.0.0.1/?key=secret'])
      expect(() => completionsUrl(address, null)).toThrow(/not a server's address/)
    expect(() => completionsUrl('http://user:secret@127.0.0.1', null)).not.toThrow(/secret/)
  })
})

describe('an answer', () => {
  test.each([
    ['  "A red\n apple."  ', 'A red apple.'],
    ['<think>what is it?</think>Caption: a cat', 'a cat'],
    ['<think>never ends', ''],
    ['「一只猫」', '一只猫'],
    ['one two three four', 'one two'],
  ])('%j becomes %j', (text, caption) => expect(tidyAnswer(text, 13)).toBe(caption))
})
