import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  curationQuery,
  marks,
  type CurationChange,
  type CurationItem,
  type CurationQuery,
  type CurationTarget,
} from '#contracts/curation.ts'
import type { Studio } from '#main/compose.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { ledgerOf, madeId } from '../support/made-ledger.ts'
import { sayCaption } from '../support/say-caption.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const context = { signal: new AbortController().signal }
const runs = process.env.ZIGMA_LONG ? 100 : 12

const ask = (studio: Studio, text: string, over: Partial<CurationQuery> = {}) =>
  studio.services['curation.query']({ ...curationQuery.parse({ filter: { text } }), ...over }, context)
/** All that is said and found; pixels follow in their own time. */
const items = async (studio: Studio): Promise<Omit<CurationItem, 'pixels'>[]> =>
  ((await ask(studio, '', { limit: 500 })).items as CurationItem[]).map(({ pixels: _, ...item }) => item)
const sources = async (studio: Studio, text: string) => (await ask(studio, text)).items.map(({ source }) => Number.parseInt(source))

const all = (text = ''): CurationTarget => ({ kind: 'query', filter: { text, buckets: [] }, except: [] })
const edit = (studio: Studio, text: string, change: CurationChange) =>
  studio.services['curation.edit']({ target: all(text), change }, context)
const undo = (studio: Studio) => studio.services['curation.undo'](null, context)
const redo = (studio: Studio) => studio.services['curation.redo'](null, context)
const set = (marks: Extract<CurationChange, { kind: 'set' }>['marks']): CurationChange => ({ kind: 'set', marks })
const replace = (find: string, by: string, over: object = {}): CurationChange => ({
  kind: 'replace',
  find,
  with: by,
  regularExpression: false,
  matchCase: false,
  ...over,
})

describe('an edit', () => {
  test('of all that a question finds rates it as a whole, and is undone as a whole', async () => {
    const studio = await curatedStudio(ledgerOf(20, (n) => ({ caption: n < 5 ? `red apple ${n}` : `pear ${n}` })))
    expect(await edit(studio, 'apple', set({ rating: 4 }))).toMatchObject({ matched: 5, changed: 5 })
    expect(await sources(studio, 'rating>=4')).toEqual([0, 1, 2, 3, 4])
    expect(await undo(studio)).toMatchObject({ changed: 5, history: { undo: null, redo: { kind: 'set', fields: ['rating'], items: 5 } } })
    expect(await ask(studio, 'rating>=4')).toEqual({ total: 0, items: [] })
    expect(await redo(studio)).toMatchObject({ changed: 5, history: { undo: { items: 5 }, redo: null } })
    expect((await ask(studio, 'rating>=4')).total).toBe(5)
    expect(await redo(studio)).toMatchObject({ changed: 0 })
    await studio.close()
  })

  test('of all but a few leaves those alone', async () => {
    const studio = await curatedStudio(ledgerOf(4))
    const target: CurationTarget = { kind: 'query', filter: { text: '', buckets: [] }, except: [madeId(1), madeId(3)] }
    await studio.services['curation.edit']({ target, change: set({ pick: 'reject' }) }, context)
    expect(await sources(studio, 'pick:reject')).toEqual([0, 2])
    await studio.close()
  })

  test('of a caption by the older command is one edit like any other', async () => {
    const studio = await curatedStudio(ledgerOf(3))
    expect(await studio.services['dataset.editCaption']({ id: madeId(1), caption: ' a cat ' }, context)).toMatchObject({ caption: 'a cat' })
    expect(await undo(studio)).toMatchObject({ changed: 1 })
    expect(await studio.services['curation.get']({ id: madeId(1) }, context)).toMatchObject({ caption: 'item 1' })
    await expect(studio.services['dataset.editCaption']({ id: 'nobody' as never, caption: '' }, context)).rejects.toMatchObject({
      code: 'not-found',
      message: 'There is no picture "nobody" in the data set.',
    })
    await studio.close()
  })

  test('of repeats is found, taken back, and refused outside of 1 to 10,000', async () => {
    const lines = ledgerOf(4).map((line, n) => (n === 2 ? { ...line, item: { ...line.item!, repeats: 30 } } : line))
    const studio = await curatedStudio(lines)
    const counts = async () => (await items(studio)).map(({ repeats }) => repeats)
    expect(await counts()).toEqual([1, 1, 30, 1])
    await edit(studio, '', set({ repeats: 5 }))
    expect(await counts()).toEqual([5, 5, 5, 5])
    await undo(studio)
    expect([await counts(), await sources(studio, 'repeats>1')]).toEqual([[1, 1, 30, 1], [2]])
    await edit(studio, 'repeats>1', set({ repeats: 1 }))
    expect(await sources(studio, 'repeats:1')).toEqual([0, 1, 2, 3])
    await edit(studio, '', set({ repeats: null })) // as it was found
    expect(await counts()).toEqual([1, 1, 30, 1])
    await studio.close()
    for (const wrong of [0, 1.5, 10_001]) expect(marks.shape.repeats.safeParse(wrong).success).toBe(false)
  })

  test('of repeats reaches the trainer: training items come as often as is said, held-out ones once', async () => {
    const lines = ledgerOf(3).map((line, n) => ({ ...line, item: { ...line.item!, repeats: n + 2, split: 'train' as const } }))
    const studio = await curatedStudio(lines)
    await edit(studio, 'source:0.png', set({ repeats: 7 }))
    await edit(studio, 'source:1.png', set({ split: 'validation' }))
    const { dataset } = studio.context.project()
    const name = await dataset.freeze()
    using reader = await openSnapshot(dataset.folder, name)
    const of = (n: number) => reader.repeats[reader.ids.indexOf(madeId(n))]
    expect([of(0), of(1), of(2)]).toEqual([7, 1, 4])
    await edit(studio, '', set({ repeats: 1 }))
    expect(await dataset.freeze()).not.toBe(name)
    // A snapshot of before repeats: its lines do not speak of them.
    const path = join(dataset.folder, 'snapshots', `${name}.jsonl`)
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"repeats":\d+,/g, ''))
    using old = await openSnapshot(dataset.folder, name)
    expect(old.repeats).toEqual([1, 1, 1])
    await studio.close()
  })

  test('of repeats that make an epoch too long is told when it is frozen, with the way out', async () => {
    const studio = await curatedStudio(ledgerOf(2000))
    await edit(studio, '', set({ repeats: 10_000 }))
    await expect(studio.context.project().dataset.freeze()).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringMatching(
        /^An epoch would show \d+ pictures, more than 16777216: .* Divide their repeats by 2 or more\.$/,
      ) as string,
    })
    await studio.close()
  })

  test('that changes nothing is no edit', async () => {
    const studio = await curatedStudio(ledgerOf(3))
    expect(await edit(studio, '', set({ rating: null }))).toMatchObject({ matched: 3, changed: 0, history: { undo: null } })
    expect(await edit(studio, '', replace('zebra', 'horse'))).toMatchObject({ matched: 3, changed: 0, history: { undo: null } })
    expect(readdirSync(studio.context.project().folder.dataset)).not.toContain('curation.jsonl')
    await studio.close()
  })

  const captions = ['a Cat (old)', 'cat, CAT', 'dog $1']
  test.each<[string, CurationChange, string[]]>([
    ['plain text in any case', replace('cat', '$&-fish'), ['a $&-fish (old)', '$&-fish, $&-fish', 'dog $1']],
    ['plain text in this case', replace('cat', 'fox', { matchCase: true }), ['a Cat (old)', 'fox, CAT', 'dog $1']],
    ['plain text that would be a pattern', replace('(old)', 'new'), ['a Cat new', 'cat, CAT', 'dog $1']],
    ['a pattern with groups', replace('(\\w+) \\$', '[$1] ', { regularExpression: true }), ['a Cat (old)', 'cat, CAT', '[dog] 1']],
    ['a prefix, once', { kind: 'affix', prefix: 'a ', suffix: '' }, ['a Cat (old)', 'a cat, CAT', 'a dog $1']],
    ['a suffix', { kind: 'affix', prefix: '', suffix: ', oil' }, ['a Cat (old), oil', 'cat, CAT, oil', 'dog $1, oil']],
  ])('can replace in captions: %s', async (_what, change, after) => {
    const studio = await curatedStudio(ledgerOf(3, (n) => ({ caption: captions[n]! })))
    const preview = await studio.services['curation.preview']({ target: all(), change, examples: 5 }, context)
    await edit(studio, '', change)
    const now = (await items(studio)).map(({ caption }) => caption)
    expect(now).toEqual(after)
    expect(preview.changed).toBe(after.filter((caption, n) => caption !== captions[n]).length)
    for (const { id, before, after: then } of preview.examples) {
      const n = [0, 1, 2].find((one) => madeId(one) === id)!
      expect([before.caption, then.caption]).toEqual([captions[n], after[n]])
    }
    await studio.close()
  })

  test('of tags brings them to one form, adds each once and keeps their order', async () => {
    const studio = await curatedStudio(ledgerOf(2, (n) => ({ tags: n === 0 ? ['old', 'cat'] : [] })))
    await edit(studio, '', { kind: 'tag', add: ['cat', 'red apple'], remove: ['old'] })
    expect((await items(studio)).map(({ tags }) => tags)).toEqual([
      ['cat', 'red apple'],
      ['cat', 'red apple'],
    ])
    expect(await studio.services['curation.tags']({ text: 'app', limit: 10 }, context)).toEqual([{ tag: 'red apple', items: 2 }])
    await studio.close()
  })

  test.each<[string, CurationChange, RegExp]>([
    [
      'a pattern that would run for ever',
      replace('(a+)+$', 'x', { regularExpression: true }),
      /^"\(a\+\)\+\$" takes longer than 1 second .* so nothing was changed/,
    ],
    [
      'a pattern that is none',
      replace('(a', 'x', { regularExpression: true }),
      /^"\(a" is not a regular expression \(.*\)\. Correct it, or look for it as plain text\.$/,
    ],
    [
      'captions that would be too long',
      replace('a', 'b'.repeat(2000)),
      /^The caption of "0\.png" would have \d+ characters, more than 2000, so nothing was changed\./,
    ],
    [
      'a rectangle outside a picture',
      set({ crop: { kind: 'rectangle', x: 32, y: 0, width: 64, height: 64 } }),
      /^The rectangle reaches to 96 x 64 pixels, but "0\.png" has 64 x 64\./,
    ],
  ])('is refused as a whole with one sentence: %s', async (_what, change, sentence) => {
    const studio = await curatedStudio(ledgerOf(2, () => ({ caption: `${'a'.repeat(40)}!` })))
    const before = await items(studio)
    await expect(edit(studio, '', change)).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringMatching(sentence) as string,
    })
    expect(await items(studio)).toEqual(before)
    expect(await studio.services['curation.history'](null, context)).toEqual({ undo: null, redo: null })
    await studio.close()
  })

  test('of tags is refused where they become too many', async () => {
    const studio = await curatedStudio(ledgerOf(2, () => ({ tags: Array.from({ length: 199 }, (_, i) => `t${i}`) })))
    await expect(edit(studio, '', { kind: 'tag', add: ['a', 'b'], remove: [] })).rejects.toMatchObject({
      message: '"0.png" would have 201 tags, more than 200, so nothing was changed. Remove some of its tags first.',
    })
    expect(await edit(studio, '', { kind: 'tag', add: ['a', 'b'], remove: ['t1'] })).toMatchObject({ changed: 2 })
    await studio.close()
  })

  test('is told as news with what changed', async () => {
    const studio = await curatedStudio(ledgerOf(600))
    const heard: unknown[] = []
    studio.subscribe(({ name, news }) => name === 'curation.changed' && heard.push(news.ids))
    await studio.services['curation.edit']({ target: { kind: 'ids', ids: [madeId(3)] }, change: set({ rating: 1 }) }, context)
    await edit(studio, '', set({ rating: 2 }))
    expect(heard).toEqual([[madeId(3)], null])
    await studio.close()
  })

  test('is not half done when the disk is full', async () => {
    let full = false
    const fs = new SafeFs((operation) => {
      if (full && operation === 'write') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      return undefined
    })
    const studio = await curatedStudio(ledgerOf(3), { fs })
    await edit(studio, '', set({ rating: 2 }))
    const before = await items(studio)
    full = true
    await expect(edit(studio, '', set({ rating: 5 }))).rejects.toMatchObject({ code: 'disk-full' })
    await expect(undo(studio)).rejects.toMatchObject({ code: 'disk-full' })
    full = false
    expect(await items(studio)).toEqual(before)
    await undo(studio)
    expect((await ask(studio, 'rating:0')).total).toBe(3)
    await studio.close()
  })
})

describe('a question', () => {
  const made = [
    { caption: 'red apple on a table', width: 512, height: 768, tags: ['fruit', 'red apple'] },
    { caption: 'Äpfel im Café', width: 1024, height: 512, tags: ['fruit'] },
    { caption: '红苹果', width: 64, height: 64, tags: ['x"fruit"x'] },
    { caption: '', width: 2000, height: 2000, state: 'partial' as const },
  ]
  let studio: Studio
  beforeAll(async () => {
    studio = await curatedStudio(ledgerOf(4, (n) => made[n]!))
  })
  afterAll(() => studio.close())

  test.each<[string, number[]]>([
    ['', [0, 1, 2, 3]],
    ['apple', [0]],
    ['app', [0]],
    ['"red apple"', [0]],
    ['"apple red"', []],
    ['cafe', [1]],
    ['苹果', [2]],
    ['tag:fruit', [0, 1]],
    ['tag:"Red  Apple"', [0]],
    ['-tag:fruit', [2, 3]],
    ['aspect>1.5', [1]],
    ['width>=512 height<=768', [0, 1]],
    ['megapixels>1', [3]],
    ['state:partial', [3]],
    ['captioned:no', [3]],
    ['tagged:no OR caption:CAF', [1, 3]],
    ['NOT (tagged:no OR apple)', [1, 2]],
    ['source:1.png', [1]],
    ['measured:yes', []],
    ['blur<0.2', []],
    ['-blur<0.2 width<100', [2]],
    ["caption:'; DROP TABLE items; --", []],
    ['caption:%', []],
    ['***', []],
  ])('%j finds %j', async (text, found) => {
    expect(await sources(studio, text)).toEqual(found)
  })

  test('in a bucket finds what goes there, with the part that would be used', async () => {
    const buckets = [
      { width: 512, height: 512 },
      { width: 512, height: 768 },
      { width: 768, height: 512 },
    ]
    const { items: found } = await ask(studio, 'bucket:768x512', { filter: { text: 'bucket:768x512', buckets } })
    expect(found).toMatchObject([
      { source: '1.png', bucket: { width: 768, height: 512 }, frame: { x: 128, y: 0, width: 768, height: 512 } },
    ])
    expect(await studio.services['curation.buckets']({ filter: { text: '', buckets: [] }, sizes: buckets }, context)).toMatchObject([
      { items: 2, cropped: 0, enlarged: 1 },
      { items: 1, cropped: 0, enlarged: 0 },
      { items: 1, cropped: 0.25, enlarged: 0 },
    ])
    await expect(ask(studio, 'bucket:8x8')).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringMatching(/^There is no bucket 8x8/) as string,
    })
  })

  test('of the older command is plain text, whatever it means in the query language', async () => {
    const studio = await curatedStudio(ledgerOf(3, (n) => ({ caption: ['a (b', 'tag:x', 'plain'][n]! })))
    const find = async (text: string) =>
      (await studio.services['dataset.items']({ offset: 0, limit: 10, text }, context)).items.map(({ caption }) => caption)
    expect([await find('(B'), await find('tag:'), await find('lai'), (await find('.png')).length]).toEqual([
      ['a (b'],
      ['tag:x'],
      ['plain'],
      3,
    ])
    await studio.close()
  })

  test('is answered page by page, in any order, each item once', async () => {
    const studio = await curatedStudio(ledgerOf(25, (n) => ({ width: 64 + (n % 3) })))
    for (const [sort, descending] of [
      ['width', true],
      ['added', false],
      ['blur', false],
      ['caption', true],
    ] as const) {
      const pages = await Promise.all([0, 10, 20, 30].map((offset) => ask(studio, '', { sort, descending, offset, limit: 10 })))
      const seen = pages.flatMap((page) => page.items.map(({ id }) => id))
      expect(new Set(seen).size).toBe(25)
      expect(seen).toHaveLength(25)
    }
    const widths = (await ask(studio, '', { sort: 'width', descending: true })).items.map(({ width }) => width)
    expect(widths).toEqual([...widths].sort((a, b) => b - a))
    await studio.close()
  })

  test('finds edited words, and no longer those that were there', async () => {
    const studio = await curatedStudio(ledgerOf(10, () => ({ caption: 'apple' })))
    expect((await ask(studio, 'apple')).total).toBe(10)
    await edit(studio, '', replace('apple', 'pear'))
    expect([(await ask(studio, 'apple')).total, (await ask(studio, 'pear')).total]).toEqual([0, 10])
    await studio.services['dataset.editCaption']({ id: madeId(2), caption: 'apple' }, context)
    expect([(await ask(studio, 'apple')).total, (await ask(studio, 'pear')).total]).toEqual([1, 9])
    await studio.close()
  })
})

test('a histogram counts every item under its question once', async () => {
  const studio = await curatedStudio(ledgerOf(10, (n) => ({ width: 100 + 10 * n })))
  const draw = (text: string, measure: 'width' | 'blur') =>
    studio.services['curation.histogram']({ filter: { text, buckets: [] }, measure, bins: 3 }, context)
  expect(await draw('', 'width')).toEqual({ measure: 'width', from: 100, to: 190, counts: [3, 3, 4], missing: 0 })
  expect(await draw('width>180', 'width')).toEqual({ measure: 'width', from: 190, to: 190, counts: [1, 0, 0], missing: 0 })
  expect(await draw('', 'blur')).toEqual({ measure: 'blur', from: 0, to: 0, counts: [0, 0, 0], missing: 10 })
  await studio.close()
})

const text = fc.constantFrom('', 'apple', 'pear', 'tag:a', '-tag:a', 'rating>=3', 'split:train', 'pick:reject OR caption:x', 'NOT item')
const change: fc.Arbitrary<CurationChange> = fc.oneof(
  fc
    .record(
      {
        caption: fc.option(fc.string({ unit: 'grapheme', maxLength: 8 })),
        captions: fc.option(fc.array(fc.constantFrom('x', 'y "z"'), { maxLength: 2 })),
        tags: fc.option(fc.subarray(['a', 'b', 'c d'])),
        rating: fc.option(fc.integer({ min: 0, max: 5 })),
        pick: fc.option(fc.constantFrom('none', 'pick', 'reject')),
        split: fc.option(fc.constantFrom('train', 'validation', 'test')),
        crop: fc.option(
          fc.constantFrom(
            { kind: 'center' as const },
            { kind: 'smart' as const },
            { kind: 'rectangle' as const, x: 1, y: 2, width: 30, height: 40 },
          ),
        ),
        repeats: fc.option(fc.integer({ min: 1, max: 10_000 })),
        consent: fc.option(fc.constantFrom('given', 'refused')),
        licence: fc.option(fc.constantFrom('CC0-1.0', 'MIT')),
      },
      { requiredKeys: [] },
    )
    .map((marks) => ({ kind: 'set' as const, marks: marks as never })),
  fc
    .record({ find: fc.constantFrom('apple', 'item', 'p'), with: fc.constantFrom('pear', '', 'x') })
    .map(({ find, with: by }) => replace(find, by)),
  fc.constantFrom<CurationChange>(
    { kind: 'affix', prefix: 'an ', suffix: ' x' },
    { kind: 'tag', add: ['a', 'b'], remove: ['c d'] },
    { kind: 'tag', add: [], remove: ['a'] },
  ),
)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ text, change }) },
  { weight: 1, arbitrary: fc.constant('undo' as const) },
  { weight: 1, arbitrary: fc.constant('redo' as const) },
)

describe('whatever is edited', () => {
  test('is undone to the starting state and done again to the end, and the index says what the files say', async () => {
    const studio = await curatedStudio(ledgerOf(12, (n) => ({ caption: n % 2 ? `apple ${n}` : `item ${n}`, tags: n % 3 ? ['a'] : [] })))
    const { dataset } = studio.context.project()
    const start = await items(studio)
    const summary = await studio.services['dataset.describe'](null, context)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        for (const one of steps) {
          if (one === 'undo') await undo(studio)
          else if (one === 'redo') await redo(studio)
          else await edit(studio, one.text, one.change)
        }
        const end = await items(studio)
        const inFiles = new Map((await dataset.items()).map((item) => [item.id, item]))
        for (const { id, caption, captions, tags, rating, pick, split, crop, repeats } of end)
          expect(inFiles.get(id)).toMatchObject({ caption, captions, tags, rating, pick, split, crop, repeats })
        expect(await studio.services['dataset.describe'](null, context)).toEqual(await dataset.describe())
        let taken = 0
        while ((await undo(studio)).changed > 0) taken++
        expect(await items(studio)).toEqual(start)
        expect(await studio.services['dataset.describe'](null, context)).toEqual(summary)
        for (let i = 0; i < taken; i++) await redo(studio)
        const again = await items(studio)
        // What was undone by hand among the steps comes back with the last redo only if nothing was edited since.
        for (let i = 0; i < taken; i++) await undo(studio)
        expect(again.map(({ id }) => id)).toEqual(end.map(({ id }) => id))
        if (!steps.includes('undo')) expect(again).toEqual(end)
      }),
      { numRuns: runs },
    )
    await studio.close()
  })

  test('and every question and its opposite share the data set between them', async () => {
    const studio = await curatedStudio(
      ledgerOf(12, (n) => ({ caption: n % 2 ? `apple ${n}` : 'item', tags: n % 3 ? ['a'] : [], width: 60 + n })),
    )
    const term = fc.constantFrom(
      'apple',
      'tag:a',
      'rating>2',
      'blur<0.5',
      'nearest<3',
      'split:train',
      'reason:cropped',
      'duplicate:yes',
      'leak:no',
      'width:61..66',
    )
    const question = fc.letrec<{ q: string }>((tie) => ({
      q: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        term,
        fc.tuple(tie('q'), fc.constantFrom(' ', ' AND ', ' OR '), tie('q')).map(([a, sign, b]) => `(${a}${sign}${b})`),
        tie('q').map((a) => `NOT (${a})`),
      ),
    })).q
    await fc.assert(
      fc.asyncProperty(question, async (one) => {
        expect((await ask(studio, one)).total + (await ask(studio, `NOT (${one})`)).total).toBe(12)
      }),
      { numRuns: 6 * runs },
    )
    await studio.close()
  })
})

describe('the index', () => {
  test('is made anew from the files with all edits and their undo, also when the journal was cut short by a crash', async () => {
    const folder = temporaryFolder()
    const studio = await curatedStudio(ledgerOf(5), { folder })
    await edit(studio, '', set({ rating: 3 }))
    await edit(studio, '', { kind: 'tag', add: ['a'], remove: [] })
    await edit(studio, '', replace('item', 'thing'))
    await undo(studio)
    const before = await items(studio)
    const history = await studio.services['curation.history'](null, context)
    const { root, dataset } = studio.context.project().folder
    await studio.close()
    appendFileSync(join(dataset, 'curation.jsonl'), '{"at":"2026-01-01T00:00:00.000Z","edit":"set","ids":["')
    for (const name of readdirSync(root).filter((one) => one.startsWith('library.db'))) rmSync(join(root, name))

    const again = await curatedStudio([], { folder })
    expect(await items(again)).toEqual(before)
    expect(await again.services['curation.history'](null, context)).toEqual(history)
    await redo(again)
    expect((await ask(again, 'thing')).total).toBe(5)
    for (let i = 0; i < 3; i++) await undo(again)
    expect((await ask(again, 'rating:0 tagged:no item')).total).toBe(5)
    await again.close()
  })

  test('has what a crash left in the journal alone', async () => {
    const studio = await curatedStudio(ledgerOf(2))
    const { dataset } = studio.context.project()
    await edit(studio, '', set({ rating: 3 }))
    await sayCaption(dataset, madeId(1), 'written, not indexed')
    expect(await sources(studio, 'indexed rating:3')).toEqual([1])
    await undo(studio)
    expect(await sources(studio, 'item rating:3')).toEqual([0, 1])
    await studio.close()
  })

  test('follows files that are others than they were', async () => {
    const folder = temporaryFolder()
    const studio = await curatedStudio(ledgerOf(5), { folder })
    await edit(studio, '', set({ rating: 3 }))
    const { dataset } = studio.context.project().folder
    await studio.close()
    const lines = readFileSync(join(dataset, 'ledger.jsonl'), 'utf8').split('\n')
    writeFileSync(join(dataset, 'ledger.jsonl'), `${lines.slice(2, 4).join('\n')}\n`)
    const again = await curatedStudio([], { folder })
    expect(await sources(again, 'rating:3')).toEqual([2, 3])
    await again.close()
  })

  test('says where a journal is damaged', async () => {
    const folder = temporaryFolder()
    const studio = await curatedStudio(ledgerOf(2), { folder })
    await edit(studio, '', set({ rating: 3 }))
    const { path } = studio.context.project().dataset.journal
    const { size } = { size: readFileSync(path).length }
    appendFileSync(path, '{"undo":"all"}\n')
    await expect(items(studio)).rejects.toMatchObject({
      code: 'corrupt-file',
      message: expect.stringContaining(`is damaged at byte ${size}`) as string,
    })
    await studio.close()
  })

  test('takes over captions that an older studio kept', async () => {
    const folder = temporaryFolder()
    const older = await curatedStudio([], { folder })
    const { root, dataset: datasetFolder } = older.context.project().folder
    await older.close()
    for (const name of readdirSync(root).filter((one) => one.startsWith('library.db'))) rmSync(join(root, name))
    writeFileSync(join(datasetFolder, 'captions.jsonl'), `${JSON.stringify({ id: madeId(1), caption: 'kept' })}\n`)
    const studio = await curatedStudio(ledgerOf(2), { folder })
    const { dataset } = studio.context.project()
    await edit(studio, '', replace('k', 'sl')) // the captions were there before the pictures, so they come first
    expect((await items(studio)).map(({ caption }) => caption)).toEqual(['slept', 'item 0'])
    await undo(studio)
    expect((await items(studio)).map(({ caption }) => caption)).toEqual(['kept', 'item 0'])
    expect(await studio.services['dataset.describe'](null, context)).toEqual(await dataset.describe())
    await studio.close()
  })

  test('takes whatever a source says, cut to what an item may have', async () => {
    const tags = ['Red,  Apple', 'a\tb', '', 'x'.repeat(300), ...Array.from({ length: 300 }, (_, i) => `t${i}`)]
    const studio = await curatedStudio(ledgerOf(1, () => ({ caption: 'c'.repeat(5000), tags })))
    const [item] = await items(studio)
    expect(item).toMatchObject({ caption: 'c'.repeat(2000) })
    expect(item!.tags.slice(0, 4)).toEqual(['red', 'apple', 'a b', 'x'.repeat(100)])
    expect(item!.tags).toHaveLength(200)
    expect(await studio.services['dataset.describe'](null, context)).toEqual(await studio.context.project().dataset.describe())
    await studio.close()
  })

  test('forgets a picture that was replaced and knows what was said of it when it comes back', async () => {
    const studio = await curatedStudio(ledgerOf(2))
    const { dataset } = studio.context.project()
    await edit(studio, '', set({ rating: 3 }))
    const [first, second] = ledgerOf(2)
    await dataset.appendLedger([{ ...first!, state: 'rejected', reason: 'corrupt', detail: 'x', item: null }])
    expect(await sources(studio, '')).toEqual([1])
    expect(await studio.services['dataset.ledger']({ offset: 0, limit: 10, state: 'rejected' }, context)).toMatchObject({ total: 1 })
    await dataset.appendLedger([{ ...first!, item: { ...first!.item!, caption: 'back' } }, second!])
    expect((await ask(studio, 'rating:3')).items.map(({ caption }) => caption).sort()).toEqual(['back', 'item 1'])
    await studio.close()
  })
})

describe('a snapshot', () => {
  test('has one name whatever the order of import, and another when caption, tags, crop, split, pick or repeats differ', async () => {
    const lines = ledgerOf(9, (n) => ({ tags: n % 2 ? ['a'] : [] }))
    const nameOf = async (order: readonly number[], marks?: Parameters<typeof set>[0]) => {
      const studio = await curatedStudio(order.map((n) => lines[n]!))
      if (marks) await studio.services['curation.edit']({ target: { kind: 'ids', ids: [madeId(4)] }, change: set(marks) }, context)
      const { snapshot } = await studio.services['dataset.describe'](null, context)
      expect(await studio.context.project().dataset.freeze()).toBe(snapshot)
      await studio.close()
      return snapshot
    }
    const whole = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    const name = await nameOf(whole)
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(whole, { minLength: 9 }), async (order) => {
        expect(await nameOf(order)).toBe(name)
      }),
      { numRuns: Math.ceil(runs / 10) },
    )
    const others = await Promise.all(
      [
        { caption: 'x' },
        { captions: ['x'] },
        { tags: ['b'] },
        { crop: { kind: 'smart' as const } },
        { crop: { kind: 'rectangle' as const, x: 0, y: 0, width: 8, height: 8 } },
        { split: 'test' as const },
        { pick: 'reject' as const },
        { repeats: 2 },
      ].map((marks) => nameOf(whole, marks)),
    )
    expect(new Set([name, ...others]).size).toBe(9)
    expect(await nameOf(whole, { rating: 5, author: 'x', repeats: 1 })).toBe(name) // no training depends on these
  })
})
