import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exportLayout, kindIn } from '#contracts/export.ts'
import type { ItemId } from '#contracts/project.ts'
import type { ExportItem } from '#main/media/export/export-item.ts'
import { ExportFiles } from '#main/media/export/export-files.ts'
import { layoutOf } from '#main/media/export/layout.ts'
import { SurveyCount } from '#main/media/export/survey.ts'
import { samplesLimit, TarShards } from '#main/media/export/tar-shards.ts'
import type { NewFolder } from '#main/store/safe-fs.ts'

const item: ExportItem = {
  ...{ id: '0123456789abcdef0123' as ItemId, source: 'a.png', caption: 'a', captions: [], tags: [], split: 'train', author: '' },
  ...{ licence: '', consent: 'unknown', origin: '', repeats: null, concept: '', width: 9, height: 9, shard: 0, slot: 0, pixelHash: '' },
  clip: null,
  original: null,
}
const picture = { bytes: new Uint8Array(1), ending: 'png', width: 8, height: 8, latents: null }

/** What Windows takes for the name of a file or a folder. */
const safe = /^(?!(con|prn|aux|nul|com\d|lpt\d)(\.|$))[^<>:"/\\|?*\p{Cc}]*[^<>:"/\\|?*\p{Cc}. ]$/iu
const concept = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom('a', 'A', 'é', 'e\u0301', '.', ' ', '/', '_', '\\', ':', '\u0000'), maxLength: 6 }),
)

describe('names in an export', () => {
  test.each(exportLayout.options)('are safe on every system and never the same but for case: %s', (layout) => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ concept, repeats: fc.integer({ min: 1, max: 10_000 }) }), { minLength: 1, maxLength: 8 }),
        (groups) => {
          const items = groups.map((group, i) => ({ ...item, ...group, id: `${i}${item.id.slice(1)}` as ItemId }))
          const survey = new SurveyCount(kindIn(layout))
          for (const one of items) survey.add(one)
          const rules = layoutOf({ layout, splits: 'folders', tags: 'beside' }, survey.end(0), null)
          const filesOf = (one: ExportItem) => (rules.video ? [rules.video(one, 'mkv')] : rules.files(one, picture).map(({ name }) => name))
          const names = items.flatMap((one) => filesOf(one).map((name) => `${rules.tar?.('train', 3) ?? ''}/${name}`))
          expect(names.length).toBeGreaterThanOrEqual(items.length)
          for (const name of names) for (const part of name.split('/').filter((one) => one !== '')) expect(part).toMatch(safe)
          expect(new Set(names.map((name) => name.normalize('NFC').toLowerCase())).size).toBe(names.length)
          const folders = new Map(items.map((one) => [JSON.stringify([one.repeats, one.concept || 'picture']), filesOf(one)[0]!.split('/').slice(0, -1).join('/')])) // prettier-ignore
          if (layout === 'kohya') expect(new Set([...folders.values()].map((name) => name.toLowerCase())).size).toBe(folders.size)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('do not depend on what else is exported', () => {
    const name = (items: readonly ExportItem[]) => {
      const survey = new SurveyCount('picture')
      for (const one of items) survey.add(one)
      return layoutOf({ layout: 'imagefolder', splits: 'folders', tags: 'beside' }, survey.end(0), null).files(item, picture)[0]!.name
    }
    expect(name([item])).toBe(name([{ ...item, id: 'ffff' as ItemId, concept: 'other' }, item]))
  })
})

test('a tar ends after 10,000 samples, and no sample lies in two', async () => {
  const written = new Map<string, Uint8Array[]>()
  const folder = {
    file: async (name: string) => {
      const parts: Uint8Array[] = []
      return { write: async (bytes: Uint8Array) => void parts.push(bytes.slice()), keep: async () => void written.set(name, parts), discard: async () => undefined } // prettier-ignore
    },
  } as unknown as NewFolder
  const shards = new TarShards(folder, (number) => `${number}.tar`)
  for (let i = 0; i < samplesLimit + 1; i++) await shards.add([{ name: `${i}.png`, bytes: 'x' }, { name: `${i}.txt`, bytes: '' }]) // prettier-ignore
  await shards.keep()
  const size = (name: string) => written.get(name)!.reduce((sum, { length }) => sum + length, 0)
  expect([...written.keys()]).toEqual(['0.tar', '1.tar'])
  expect([size('0.tar'), size('1.tar')]).toEqual([samplesLimit * 3 * 512 + 1024, 3 * 512 + 1024])
  expect(shards.sizeBytes).toBe(size('0.tar') + size('1.tar'))
})

test('when one file of a sample cannot be written, the others have ended before that is told: nothing comes into a folder that is taken away', async () => {
  const survey = new SurveyCount('picture')
  survey.add(item)
  let open = 0
  const folder = {
    write: async (name: string) => {
      if (name.endsWith('.png')) throw new Error('no space')
      open++
      await new Promise((resolve) => setTimeout(resolve, 20))
      open--
    },
  } as unknown as NewFolder
  const files = new ExportFiles(folder, layoutOf({ layout: 'kohya', splits: 'folders', tags: 'beside' }, survey.end(0), null))
  const placed = files.place(item, picture)
  expect(open).toBeGreaterThan(0)
  await expect(placed).rejects.toThrow('no space')
  expect(open).toBe(0)
})
