import { beforeEach, expect, test, vi } from 'vitest'
import { usePaged } from '#renderer/composables/paged.ts'

const settle = () => new Promise((resolve) => setTimeout(resolve, 150))
let asked: number[] = []

beforeEach(() => {
  asked = []
  vi.stubGlobal('window', globalThis)
})

/** A list of so many items named by their place, and by the version of the list. */
function list(total: () => number, version = () => 1) {
  return usePaged(
    async (offset, limit, { signal }) => {
      asked.push(offset)
      await new Promise((resolve) => setTimeout(resolve, 5))
      signal.throwIfAborted()
      const items = Array.from({ length: Math.max(0, Math.min(limit, total() - offset)) }, (_, i) => ({ id: `${version()}/${offset + i}` }))
      return { total: total(), items }
    },
    (error) => {
      if (!(error instanceof Error && error.name === 'AbortError')) throw error
    },
  )
}

test('of a hundred thousand items only the pages that are looked at are fetched', async () => {
  const items = list(() => 100_000)
  await items.reload()
  items.look(50_000, 50_099)
  await settle()
  expect([items.total(), items.at(50_042)?.id, items.at(99_000)]).toEqual([100_000, '1/50042', null])
  expect(asked).toEqual([0, 50_000])
})

test('what only flies by is not fetched', async () => {
  const items = list(() => 100_000)
  await items.reload()
  for (let place = 0; place < 100_000; place += 1000) items.look(place, place + 99)
  await settle()
  expect(asked.length).toBeLessThanOrEqual(3)
  expect(items.at(99_050)?.id).toBe('1/99050')
})

test('a stretch is complete though none of it was looked at', async () => {
  const items = list(() => 1000)
  await items.reload()
  const ids = (await items.stretch(150, 650)).map(({ id }) => id)
  expect([ids.length, ids[0], ids.at(-1)]).toEqual([501, '1/150', '1/650'])
})

test('while a list is read anew the old one stays, and the answer of an older question is thrown away', async () => {
  let version = 1
  const items = list(() => 300, () => version) // prettier-ignore
  await items.reload()
  version = 2
  const reading = items.reload()
  expect(items.at(0)?.id).toBe('1/0')
  version = 3
  await Promise.all([reading, items.reload()])
  expect(items.at(0)?.id).toBe('3/0')
})

test('a list that became empty is empty', async () => {
  let total = 500
  const items = list(() => total)
  await items.reload()
  items.look(400, 499)
  await settle()
  total = 0
  await items.reload()
  expect([items.total(), items.at(0), items.loaded()]).toEqual([0, null, true])
})
