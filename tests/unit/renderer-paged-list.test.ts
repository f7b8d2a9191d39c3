import { expect, test } from 'vitest'
import { pagedList } from '#renderer/composables/paged-list.ts'

const numbers = (total: number) => {
  const asked: number[] = []
  const fetchPage = (offset: number, limit: number) => {
    asked.push(offset)
    return Promise.resolve({ total, entries: Array.from({ length: Math.min(limit, total - offset) }, (_, i) => offset + i) })
  }
  return { asked, fetchPage }
}

test('every line is reached, and each page is fetched once', async () => {
  const { asked, fetchPage } = numbers(25)
  const list = pagedList(fetchPage, 10)
  await list.show(0, 4)
  expect([list.total.value, list.at(9), list.at(10)]).toEqual([25, 9, null])
  await list.show(5, 24)
  await list.show(8, 12)
  expect(Array.from({ length: 25 }, (_, i) => list.at(i))).toEqual(Array.from({ length: 25 }, (_, i) => i))
  expect(asked).toEqual([0, 10, 20])
})

test('a leap to the end fetches the end only', async () => {
  const { asked, fetchPage } = numbers(1000)
  const list = pagedList(fetchPage, 10)
  await list.show(0, 0)
  await list.show(990, 999)
  expect([list.at(999), list.at(500)]).toEqual([999, null])
  expect(asked).toEqual([0, 990])
})

test('an answer to a question that is no longer asked is not shown', async () => {
  const answers: ((entries: string[]) => void)[] = []
  const list = pagedList<string>(() => new Promise((resolve) => answers.push((entries) => resolve({ total: entries.length, entries }))), 10)
  const before = list.show(0, 0)
  const after = list.renew(0, 0)
  answers[1]!(['new'])
  answers[0]!(['old', 'old'])
  await Promise.all([before, after])
  expect([list.total.value, list.at(0)]).toEqual([1, 'new'])
})

test('what is there stays in sight until the new comes, and nothing of it after', async () => {
  let word = 'old'
  const list = pagedList(() => Promise.resolve({ total: 4, entries: [word, word] }), 2)
  await list.show(0, 3)
  word = 'new'
  const renewed = list.renew(0, 0)
  expect(list.at(0)).toBe('old')
  await renewed
  expect([list.at(0), list.at(3)]).toEqual(['new', null])
})

test('a page that could not be fetched is asked for again', async () => {
  let fails = true
  const list = pagedList(() => (fails ? Promise.reject(new Error('away')) : Promise.resolve({ total: 1, entries: ['here'] })), 2)
  await expect(list.show(0, 0)).rejects.toThrow('away')
  fails = false
  await list.show(0, 0)
  expect(list.at(0)).toBe('here')
})
