import { expect, test } from 'vitest'
import { ledgerReason, type LedgerReason } from '#contracts/dataset.ts'
import { itemId } from '#contracts/project.ts'
import { fixesFor } from '#main/services/ledger-fixes.ts'

const id = itemId.parse('0123456789abcdef0123')
const row = (reason: LedgerReason, more: { itemId?: typeof id | null; root?: string; source?: string } = {}) => ({
  ...{ root: '/pictures', source: 'a.png', state: 'partial' as const, reason, detail: '', fileHash: null, itemId: null },
  ...{ hasSaidCaption: 0 as const, ...more },
})

test('of a picture that was cut the crop can be changed, whether its source is there or not', () => {
  expect(fixesFor(row('cropped', { itemId: id }), true)).toEqual(['crop'])
  expect(fixesFor(row('cropped', { itemId: id }), false)).toEqual(['crop'])
})

test('a video of which nothing or not all is used can be cut otherwise, where it lies in a folder that can be reached', () => {
  for (const reason of ['no-clip', 'frames-dropped', 'too-long'] as const) {
    expect(fixesFor(row(reason, { source: 'a.mp4' }), true)).toContain('cut-video')
    expect(fixesFor(row(reason, { source: 'a.mp4' }), false)).toEqual(['locate'])
    for (const root of ['/set.zip', '/set.TAR.gz', '/set.toml', 'sample'])
      expect(fixesFor(row(reason, { source: 'a.mp4', root }), true)).not.toContain('cut-video')
  }
})

test('whatever can be mended outside of the studio can be read again', () => {
  for (const reason of ['encrypted', 'unsafe-name', 'bomb', 'no-video'] as const)
    expect(fixesFor(row(reason), true)).toEqual(['read-again'])
})

test('every reason leads somewhere, but for files that are none of the studio', () => {
  const more = { itemId: id, source: 'folder/inner.zip' }
  const stuck = ledgerReason.options.filter((reason) => {
    const fixes = [...fixesFor(row(reason, more), true), ...fixesFor(row(reason, { ...more, itemId: null }), true)]
    return fixes.length === 0
  })
  expect(stuck.sort()).toEqual(['not-a-file', 'not-a-picture'])
})
