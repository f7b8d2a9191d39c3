import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  curationQuery,
  duplicatesQuery,
  type CurationItem,
  type DuplicateGroup,
  type DuplicateList,
  type Pick,
} from '#contracts/curation.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Studio } from '#main/compose.ts'
import { findDuplicates } from '#main/services/duplicates.ts'
import type { Measured } from '#main/store/measure-log.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { ledgerOf, madeId } from '../support/made-ledger.ts'

const context = { signal: new AbortController().signal }
const runs = process.env.ZIGMA_LONG ? 60 : 10

/** Ten pictures: 0, 1 and 2 look alike, 1 is the largest and 2 as large and sharper; 5 and 6 have the same pixels; the others have no duplicate. */
const looksOf = (n: number) => (n < 3 ? 'ff00ff00ff00ff00' : (BigInt(n) * 0x9e3779b97f4a7c15n).toString(16).padStart(16, '0').slice(-16))
const measured = (n: number): Measured => ({
  ...{ id: madeId(n), brightness: 0.5, clippedDark: 0, clippedBright: 0, watermark: 0, focus: { x: 0.5, y: 0.5 } },
  ...{ blur: n === 2 ? 0.1 : 0.4, looks: looksOf(n) },
})
async function alikeStudio(): Promise<Studio> {
  const studio = await curatedStudio(
    ledgerOf(10, (n) => ({
      ...{ width: n === 1 || n === 2 ? 128 : 64, height: 64 },
      ...(n === 5 || n === 6 ? { pixelHash: 'ab'.repeat(32) } : {}),
    })),
  )
  const { index, alike } = studio.context.project()
  await index.measureLog.add(Array.from({ length: 10 }, (_, n) => measured(n)))
  await findDuplicates(index, alike)
  const target = { kind: 'query' as const, filter: { text: '', buckets: [] }, except: [] }
  await studio.services['curation.edit']({ target, change: { kind: 'set', marks: { split: 'train' } } }, context)
  return studio
}
const say = (studio: Studio, n: number, marks: { pick?: Pick; split?: CurationItem['split'] }) =>
  studio.services['curation.edit']({ target: { kind: 'ids', ids: [madeId(n)] }, change: { kind: 'set', marks } }, context)
const page = (studio: Studio, list: DuplicateList = 'open') =>
  studio.services['curation.duplicates'](duplicatesQuery.parse({ list }), context)
const picks = async (studio: Studio) => {
  const { items } = await studio.services['curation.query'](curationQuery.parse({ filter: { text: '' }, limit: 100 }), context)
  return items.map(({ pick }) => pick).join(' ')
}
const marked = (...changes: [number, Pick][]) =>
  Array.from({ length: 10 }, (_, n) => changes.find(([one]) => one === n)?.[1] ?? 'none').join(' ')
const numbers = (ids: readonly string[]) => ids.map((id) => Array.from({ length: 10 }, (_, n) => madeId(n)).indexOf(id as ItemId))
const told = ({ kind, leak, open, items, members, best }: DuplicateGroup) => ({
  ...{ kind, leak, open, items },
  members: numbers(members.map(({ id }) => id)),
  best: numbers(best),
})

test('groups are told with their members, the largest and sharpest first, and with what "keep the best" would keep', async () => {
  const studio = await alikeStudio()
  const { groups, ...rest } = await page(studio)
  expect(rest).toEqual({ total: 2, counts: { open: 2, leak: 0, all: 2 }, unmeasured: 0 })
  expect(groups.map((group) => told(group as DuplicateGroup))).toEqual([
    { kind: 'near', leak: false, open: true, items: 3, members: [2, 1, 0], best: [2] },
    { kind: 'exact', leak: false, open: true, items: 2, members: [5, 6], best: [5] },
  ])
  await studio.close()
})

test('keeping one rejects the others of its group and takes it back if it was rejected, as one edit', async () => {
  const studio = await alikeStudio()
  const { keep, undo } = { keep: studio.services['curation.keep'], undo: studio.services['curation.undo'] }
  await say(studio, 0, { pick: 'reject' })
  expect(await keep({ keep: 'one', id: madeId(0) }, context)).toMatchObject({ groups: 1, rejected: 2, changed: 3 })
  expect(await picks(studio)).toBe(marked([1, 'reject'], [2, 'reject']))
  expect(await page(studio)).toMatchObject({ total: 1, counts: { open: 1, all: 2 } })
  expect((await page(studio, 'all')).groups.map(({ open }) => open)).toEqual([false, true])
  await undo(null, context)
  expect(await picks(studio)).toBe(marked([0, 'reject']))
  await expect(keep({ keep: 'one', id: madeId(9) }, context)).rejects.toMatchObject({ code: 'not-found' })
  await studio.close()
})

test('keeping the best of all groups is one edit, touches no group that is decided, and never rejects what is picked', async () => {
  const studio = await alikeStudio()
  await say(studio, 0, { pick: 'pick' })
  expect((await page(studio)).groups.map(({ best }) => numbers(best))).toEqual([[0], [5]])
  expect(await studio.services['curation.keep']({ keep: 'best-of-all', list: 'open' }, context)).toMatchObject({ groups: 2, rejected: 3 })
  expect(await picks(studio)).toBe(marked([0, 'pick'], [1, 'reject'], [2, 'reject'], [6, 'reject']))
  expect(await page(studio)).toMatchObject({ total: 0, groups: [], counts: { open: 0, all: 2 } })
  await studio.services['curation.undo'](null, context)
  expect(await picks(studio)).toBe(marked([0, 'pick']))
  expect(await studio.services['curation.keep']({ keep: 'best-of-all', list: 'leak' }, context)).toMatchObject({ groups: 0, changed: 0 })
  await studio.close()
})

test('keeping a whole group picks all of it, which decides it', async () => {
  const studio = await alikeStudio()
  await studio.services['curation.keep']({ keep: 'group', id: madeId(6) }, context)
  expect(await picks(studio)).toBe(marked([5, 'pick'], [6, 'pick']))
  expect((await page(studio)).total).toBe(1)
  await studio.close()
})

test('a group in training and in checking at once is told as such until one side of it is rejected', async () => {
  const studio = await alikeStudio()
  await say(studio, 6, { split: 'validation' })
  expect((await page(studio, 'leak')).groups.map((group) => told(group as DuplicateGroup))).toEqual([
    { kind: 'exact', leak: true, open: true, items: 2, members: [5, 6], best: [5] },
  ])
  expect(await studio.services['curation.duplicatePlace']({ id: madeId(5), list: 'all' }, context)).toEqual({ place: 1 })
  expect(await studio.services['curation.duplicatePlace']({ id: madeId(5), list: 'leak' }, context)).toEqual({ place: 0 })
  expect(await studio.services['curation.duplicatePlace']({ id: madeId(0), list: 'leak' }, context)).toEqual({ place: null })
  await studio.services['curation.keep']({ keep: 'best-of-all', list: 'leak' }, context)
  expect(await page(studio, 'leak')).toMatchObject({ total: 0, counts: { leak: 0, open: 1 } })
  await studio.close()
})

test('any sequence of decisions is taken back edit by edit to where it began', async () => {
  const studio = await alikeStudio()
  const n = fc.constantFrom(0, 1, 2, 5, 6)
  const decision = fc.oneof(
    n.map((one) => ({ keep: 'one' as const, id: madeId(one) })),
    n.map((one) => ({ keep: 'group' as const, id: madeId(one) })),
    n.map((one) => ({ keep: 'best' as const, id: madeId(one) })),
    fc.constant({ keep: 'best-of-all' as const, list: 'open' as const }),
    fc.record({ n, pick: fc.constantFrom<Pick>('none', 'pick', 'reject') }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(decision, { maxLength: 6 }), async (decisions) => {
      const before = await picks(studio)
      let edits = 0
      for (const one of decisions) {
        const { changed } =
          'keep' in one ? await studio.services['curation.keep'](one, context) : await say(studio, one.n, { pick: one.pick })
        if (changed > 0) edits++
        const { groups, counts } = await page(studio, 'all')
        expect(counts.open).toBe(groups.filter(({ open }) => open).length)
        for (const { open, members } of groups as DuplicateGroup[]) {
          const kept = members.filter(({ pick }) => pick !== 'reject')
          expect(open).toBe(kept.length > 1 && kept.some(({ pick }) => pick === 'none'))
        }
      }
      for (; edits > 0; edits--) await studio.services['curation.undo'](null, context)
      expect(await picks(studio)).toBe(before)
    }),
    { numRuns: runs },
  )
  await studio.close()
})
