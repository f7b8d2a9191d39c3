import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LedgerFile, LedgerRow } from '#contracts/ledger.ts'
import { ledgerReason, ledgerState } from '#contracts/dataset.ts'
import type { Job } from '#contracts/job.ts'
import type { Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import type { LedgerLine } from '#main/media/dataset-files.ts'
import { curatedStudio } from '#tests/support/curated-studio.ts'
import { madeId } from '#tests/support/made-ledger.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { bomb, plain } from '../fixtures/pictures.ts'

const context = { signal: new AbortController().signal }
const options = { imageSize: 8, background: '#ffffff' }
const everything = { state: null, reason: null, text: '' }

async function imported(
  files: Record<string, Buffer | string>,
): Promise<{ studio: Studio; root: string; put: (name: string, bytes: Buffer) => void }> {
  const folder = temporaryFolder()
  const root = join(folder, 'source')
  const put = (name: string, bytes: Buffer | string) => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), bytes)
  }
  for (const [name, bytes] of Object.entries(files)) put(name, bytes)
  const studio = await curatedStudio([], { folder })
  await ended(studio, await studio.services['dataset.import']({ source: { kind: 'folder', path: root }, options }, context))
  return { studio, root, put }
}

async function ended(studio: Studio, { id }: { id: string }): Promise<Job> {
  const { queue } = studio.context.project()
  for (;;) {
    const now = queue.get(id as never)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

async function rows(studio: Studio): Promise<LedgerRow[]> {
  return (await studio.services['ledger.list']({ filter: everything, offset: 0, limit: 500 }, context)).entries as LedgerRow[]
}
const row = async (studio: Studio, source: string) => (await rows(studio)).find((one) => one.source === source)!
const target = (file: LedgerFile) => ({ kind: 'file' as const, ...file })

describe('the ledger', () => {
  const line = fc.record({
    state: fc.constantFrom(...ledgerState.options),
    reason: fc.constantFrom(...ledgerReason.options),
    source: fc.string({ unit: fc.constantFrom('a', 'B', '%', '_', "'", 'é', '"', '/', '.', 'ß'), minLength: 1, maxLength: 6 }),
  })

  test('counts every line once, whatever is looked for: reasons add up to states and states to what is found', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(line, { selector: ({ source }) => source, maxLength: 40 }), async (made) => {
        const lines = made.map(({ state, reason, source }, n): LedgerLine => {
          const item = { id: madeId(n), caption: '', width: 9, height: 9, shard: 0, slot: n, pixelHash: String(n) }
          return {
            root: '/r',
            source,
            state,
            reason: state === 'used' ? null : reason,
            detail: null,
            fileHash: null,
            item: state === 'rejected' ? null : item,
          }
        })
        const studio = await curatedStudio(lines)
        try {
          for (const text of ['', 'a', '%', '_', "'"]) {
            const { totals, reasons } = await studio.services['ledger.count']({ text }, context)
            expect(totals.used + totals.partial + totals.rejected).toBe(totals.found)
            expect(totals.found).toBe(lines.filter(({ source }) => source.toLowerCase().includes(text)).length)
            for (const state of ledgerState.options) {
              expect(reasons.filter((one) => one.state === state).reduce((sum, { files }) => sum + files, 0)).toBe(totals[state])
              const { total } = await studio.services['ledger.list'](
                { filter: { state, reason: null, text }, offset: 0, limit: 1 },
                context,
              )
              expect(total).toBe(totals[state])
            }
            for (const { state, reason, files } of reasons.filter((one) => one.reason !== null)) {
              const { total, entries } = await studio.services['ledger.list'](
                { filter: { state, reason, text }, offset: 0, limit: 500 },
                context,
              )
              expect([total, entries.length]).toEqual([files, files])
            }
          }
        } finally {
          await studio.close()
        }
      }),
      { numRuns: 8 },
    )
  })

  test('is exported as JSON and as CSV with every line that the filter finds, names with commas, quotes and formulas included', async () => {
    const names = ['plain.md', 'a,b.md', 'say "hi".md', '=SUM(A1).md', '苹果.md']
    const { studio } = await imported({ ...Object.fromEntries(names.map((name) => [name, 'x'])), 'one.png': await plain(8, 8) })
    const get = async (format: string, query = '') =>
      new TextDecoder('utf-8', { ignoreBOM: true }).decode(
        (await resolveMedia(studio, `media/ledger/${format}`, new URLSearchParams(query)))!.bytes,
      )
    const json = JSON.parse(await get('json')) as Record<string, string>[]
    expect(json.map(({ source }) => source).sort()).toEqual([...names, 'one.png'].sort())
    const csv = (await get('csv', 'state=rejected')).split('\r\n')
    expect(csv[0]).toBe('\ufeffroot,source,state,reason,detail,itemId,sha256')
    expect(csv).toHaveLength(names.length + 2)
    for (const cell of [',"a,b.md",', ',"say ""hi"".md",', ",'=SUM(A1).md,", ',苹果.md,'])
      expect(csv.some((text) => text.includes(cell))).toBe(true)
    expect(await resolveMedia(studio, 'media/ledger/csv', new URLSearchParams('state=nonsense'))).toBeNull()
    await studio.close()
  })
})

describe('a fix', () => {
  test('of a caption in another encoding shows the text first, then says it, and Undo takes it back', async () => {
    const { studio, root } = await imported({
      'cafe.png': await plain(9, 9),
      'cafe.txt': Buffer.from([0x75, 0x6e, 0x20, 0x63, 0x61, 0x66, 0xe9, 0x20, 0xe0, 0x20, 0x4e, 0xee, 0x6d, 0x65, 0x73]), // "un café à Nîmes"
      'apple.png': await plain(9, 9, '#ff0000'),
      'apple.txt': Buffer.from([0xba, 0xec, 0xc6, 0xbb, 0xb9, 0xfb, 0xd4, 0xda, 0xd7, 0xc0, 0xd7, 0xd3, 0xc9, 0xcf]), // 红苹果在桌子上
    })
    const [cafe, apple] = [
      { root, source: 'cafe.png' },
      { root, source: 'apple.png' },
    ]
    expect((await row(studio, 'cafe.png')).fixes).toEqual(['reencode', 'name-caption', 'edit-caption', 'read-again'])
    expect((await studio.services['ledger.encodings'](cafe, context))[0]).toEqual({ encoding: 'windows-1252', caption: 'un café à Nîmes' })
    expect((await studio.services['ledger.encodings'](apple, context))[0]).toEqual({ encoding: 'gb18030', caption: '红苹果在桌子上' })
    const fix = { fix: 'reencode', encoding: 'windows-1252' } as const
    expect(await studio.services['ledger.fixCaptions']({ target: target(cafe), ...fix }, context)).toEqual({ changed: 1, left: 0 })
    expect(await row(studio, 'cafe.png')).toMatchObject({ isMended: true, fixes: ['edit-caption'] })
    const captions = async () =>
      (await studio.services['dataset.items']({ offset: 0, limit: 9, text: '' }, context)).items.map(({ caption }) => caption).sort()
    expect(await captions()).toEqual(['apple', 'un café à Nîmes'])
    await studio.services['curation.undo'](null, context)
    expect(await captions()).toEqual(['apple', 'cafe'])
    expect(await row(studio, 'cafe.png')).toMatchObject({ isMended: false })
    // All of them at once, as one edit.
    const filter = { state: null, reason: 'caption-not-utf8' as const, text: '' }
    expect(
      await studio.services['ledger.fixCaptions']({ target: { kind: 'filter', filter }, fix: 'reencode', encoding: 'gb18030' }, context),
    ).toMatchObject({ changed: expect.any(Number) as number })
    await studio.services['curation.undo'](null, context)
    expect(await captions()).toEqual(['apple', 'cafe'])
    await studio.close()
  })

  test('makes a caption of the folder where one is missing', async () => {
    const { studio, root } = await imported({
      'red-apples/2024/01.png': await plain(9, 9),
      'red-apples/2024/01.txt': Buffer.from([0xff, 0xfe, 0xfd]),
    })
    const { source } = (await rows(studio))[0]!
    await studio.services['ledger.fixCaptions']({ target: target({ root, source }), fix: 'folder-caption', encoding: null }, context)
    expect((await studio.services['dataset.items']({ offset: 0, limit: 9, text: '' }, context)).items).toMatchObject([
      { caption: 'red apples' },
    ])
    await studio.close()
  })

  test.each([
    ['a picture of 4 x 4 pixels', 'too-small', 'accept-small', () => plain(4, 4)],
    ['a picture of 81 million pixels', 'too-many-pixels', 'accept-large', () => plain(9000, 9000)],
  ] as const)('accepts %s, keeps to that when all is imported again, and gives it up when asked', async (_name, reason, accept, make) => {
    const { studio, root } = await imported({ 'odd.png': await make(), 'one.png': await plain(9, 9, '#00ff00') })
    const file = { root, source: 'odd.png' }
    expect(await row(studio, 'odd.png')).toMatchObject({ state: 'rejected', reason, fixes: [accept, 'read-again'] })
    expect(await ended(studio, await studio.services['ledger.fixFiles']({ target: target(file), fix: accept }, context))).toMatchObject({
      state: 'done',
    })
    const accepted = await row(studio, 'odd.png')
    expect(accepted).toMatchObject({ state: 'partial', reason, fixes: ['take-back', 'read-again'] })
    expect(accepted.itemId).not.toBeNull()
    const snapshot = async () => (await studio.services['dataset.describe'](null, context)).snapshot
    const before = await snapshot()
    await ended(studio, await studio.services['ledger.readAgain']({ root }, context))
    expect([await row(studio, 'odd.png'), await snapshot()]).toEqual([accepted, before])
    expect(await resolveMedia(studio, `media/original/${accepted.itemId}`, new URLSearchParams())).not.toBeNull()
    await ended(studio, await studio.services['ledger.fixFiles']({ target: target(file), fix: 'take-back' }, context))
    expect(await row(studio, 'odd.png')).toMatchObject({ state: 'rejected', reason, itemId: null })
    expect(await studio.services['dataset.describe'](null, context)).toMatchObject({ items: 1, totals: { found: 2, used: 1, rejected: 1 } })
    await studio.close()
  })

  test('reads one file again after it was mended, and leaves the others alone', async () => {
    const { studio, root, put } = await imported({ 'bad.png': bomb(10).subarray(0, 60), 'other.png': (await plain(9, 9)).subarray(0, 60) })
    put('bad.png', await plain(12, 12, '#123456'))
    put('other.png', await plain(12, 12, '#654321'))
    const job = await ended(
      studio,
      await studio.services['ledger.fixFiles']({ target: target({ root, source: 'bad.png' }), fix: 'read-again' }, context),
    )
    expect(job).toMatchObject({ state: 'done' })
    expect(await rows(studio)).toMatchObject([
      { source: 'bad.png', state: 'used' },
      { source: 'other.png', state: 'rejected', reason: 'corrupt' },
    ])
    await studio.close()
  })

  test('of a duplicate names its twin; what cannot be mended offers nothing, and a fix that does not fit is refused', async () => {
    const bytes = await plain(9, 9)
    const { studio, root } = await imported({ 'a.png': bytes, 'b.png': bytes, 'c.md': 'x' })
    expect((await row(studio, 'b.png')).twin).toBe((await row(studio, 'a.png')).itemId)
    expect((await row(studio, 'c.md')).fixes).toEqual([])
    await expect(
      studio.services['ledger.fixFiles']({ target: target({ root, source: 'c.md' }), fix: 'read-again' }, context),
    ).rejects.toMatchObject({ code: 'invalid-request' })
    await expect(
      studio.services['ledger.fixFiles']({ target: target({ root, source: 'nowhere' }), fix: 'read-again' }, context),
    ).rejects.toMatchObject({ code: 'not-found' })
    await studio.close()
  })
})
