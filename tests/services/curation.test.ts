import { expect, test } from 'vitest'
import type { CurationChange, CurationQuery } from '#contracts/curation.ts'
import { curationQuery } from '#contracts/curation.ts'
import type { Studio } from '#main/compose.ts'
import { curatedStudio, ledgerOf, madeId } from '../support/curated-studio.ts'

const context = { signal: new AbortController().signal }

const ask = (studio: Studio, text: string, over: Partial<CurationQuery> = {}) =>
  studio.services['curation.query']({ ...curationQuery.parse({ filter: { text } }), ...over }, context)

const all = (text = '') => ({ kind: 'query' as const, filter: { text, buckets: [] }, except: [] })

const edit = (studio: Studio, text: string, change: CurationChange) =>
  studio.services['curation.edit']({ target: all(text), change }, context)

test('what a question finds can be rated as a whole, and undone as a whole', async () => {
  const studio = await curatedStudio(ledgerOf(20, (n) => ({ caption: n < 5 ? `red apple ${n}` : `pear ${n}` })))
  expect(await edit(studio, 'apple', { kind: 'set', marks: { rating: 4 } })).toMatchObject({ matched: 5, changed: 5 })
  expect((await ask(studio, 'rating>=4')).items.map(({ caption }) => caption)).toEqual([0, 1, 2, 3, 4].map((n) => `red apple ${n}`))
  expect(await studio.services['curation.undo'](null, context)).toMatchObject({ changed: 5, history: { undo: null, redo: { items: 5 } } })
  expect(await ask(studio, 'rating>=4')).toEqual({ total: 0, items: [] })
  await studio.services['curation.redo'](null, context)
  expect((await ask(studio, 'rating>=4')).total).toBe(5)
  await studio.close()
})

test('an edited caption is one edit of the journal like any other', async () => {
  const studio = await curatedStudio(ledgerOf(3))
  expect(await studio.services['dataset.editCaption']({ id: madeId(1), caption: ' a cat ' }, context)).toMatchObject({ caption: 'a cat' })
  expect(await studio.services['curation.undo'](null, context)).toMatchObject({ changed: 1 })
  expect(await studio.services['curation.get']({ id: madeId(1) }, context)).toMatchObject({ caption: 'item 1' })
  await studio.close()
})
