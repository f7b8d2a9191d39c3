import { mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, test } from 'vitest'
import { curationQuery, type CurationItem } from '#contracts/curation.ts'
import type { Job } from '#contracts/job.ts'
import type { Studio } from '#main/compose.ts'
import { landscape, plain, scene, stamped } from '#tests/fixtures/pictures.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const context = { signal: new AbortController().signal }

async function ended(studio: Studio, job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context
      .project()
      .queue.list()
      .find(({ id }) => id === job.id)!
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const ask = async (studio: Studio, text: string): Promise<string[]> =>
  (await studio.services['curation.query'](curationQuery.parse({ filter: { text }, sort: 'source' }), context)).items.map(
    ({ source }) => source,
  )
const item = async (studio: Studio, source: string) =>
  (await studio.services['curation.query'](curationQuery.parse({ filter: { text: `source:${source}` } }), context)).items[0] as CurationItem
const measure = async (studio: Studio) => ended(studio, await studio.services['curation.measure'](null, context))

async function importInto(studio: Studio, folder: string): Promise<void> {
  const request = { source: { kind: 'folder' as const, path: folder }, options: { imageSize: 8, background: '#ffffff' } }
  expect(await ended(studio, (await studio.services['dataset.import'](request, context)) as Job)).toMatchObject({ state: 'done' })
}

test('pictures are measured from their originals, duplicates found, also across the split, and all of it again from the files', async () => {
  const folder = temporaryFolder()
  const pictures = join(folder, 'pictures')
  mkdirSync(pictures)
  const a = await scene(1)
  const files: Record<string, Buffer> = {
    'a.png': a,
    'a-poor.jpg': await sharp(a).jpeg({ quality: 50 }).toBuffer(),
    'a-again.png': await sharp(a).png({ compressionLevel: 1 }).toBuffer(),
    'b.png': await scene(2),
    'c-soft.png': await sharp(await scene(3))
      .blur(9)
      .png()
      .toBuffer(),
    'black.png': await plain(64, 64, '#000000'),
    'white.png': await plain(64, 64, '#ffffff'),
  }
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(pictures, name), bytes)
  const studio = await curatedStudio([], { folder })
  await importInto(studio, pictures)
  expect(await ask(studio, 'duplicate:exact')).toEqual(['a-again.png', 'a.png']) // needs no measuring
  expect(await ask(studio, 'measured:yes')).toEqual([])

  unlinkSync(join(pictures, 'b.png'))
  writeFileSync(join(pictures, 'white.png'), await plain(64, 64, '#ff0000'))
  expect(await measure(studio)).toMatchObject({ state: 'done', result: { kind: 'measure', measured: 5, missing: 2 } })
  expect(await ask(studio, 'measured:no')).toEqual(['b.png', 'white.png'])
  for (const name of ['b.png', 'white.png']) writeFileSync(join(pictures, name), files[name]!)
  expect(await measure(studio)).toMatchObject({ result: { measured: 2, missing: 0 } })

  expect(await ask(studio, 'duplicate:yes')).toEqual(['a-again.png', 'a-poor.jpg', 'a.png'])
  expect(await ask(studio, 'duplicate:near')).toEqual(['a-poor.jpg'])
  expect(await ask(studio, 'blur>=0.5')).toEqual(['black.png', 'c-soft.png', 'white.png'])
  expect(await ask(studio, 'dark:1 OR bright:1')).toEqual(['black.png', 'white.png'])
  expect(await item(studio, 'black.png')).toMatchObject({ nearest: null, duplicate: 'none', measures: { brightness: 0, clippedDark: 1 } })

  const split = (source: string, to: 'train' | 'validation') =>
    item(studio, source).then(({ id }) =>
      studio.services['curation.edit']({ target: { kind: 'ids', ids: [id] }, change: { kind: 'set', marks: { split: to } } }, context),
    )
  for (const one of ['a.png', 'a-again.png', 'a-poor.jpg']) await split(one, 'train')
  expect(await ask(studio, 'leak:yes')).toEqual([])
  await split('a-poor.jpg', 'validation')
  expect(await ask(studio, 'leak:yes')).toEqual(['a-again.png', 'a-poor.jpg', 'a.png'])
  const groups = await studio.services['curation.duplicates']({ list: 'leak', offset: 0, limit: 10 }, context)
  expect(groups).toMatchObject({ total: 1, groups: [{ items: 3, leak: true }] })
  const counted = await studio.services['curation.histogram']({ filter: { text: '', buckets: [] }, measure: 'blur', bins: 10 }, context)
  expect(counted).toMatchObject({ from: 0, to: 1, missing: 0 })
  expect(counted.counts.reduce((sum, count) => sum + count)).toBe(7)

  expect(await ask(studio, 'duplicate:extra')).toHaveLength(2)
  await studio.services['curation.edit'](
    {
      target: { kind: 'query', filter: { text: 'duplicate:extra', buckets: [] }, except: [] },
      change: { kind: 'set', marks: { pick: 'reject' } },
    },
    context,
  )
  expect(await ask(studio, 'leak:yes')).toEqual([])
  expect(await studio.services['curation.duplicates']({ list: 'leak', offset: 0, limit: 10 }, context)).toMatchObject({
    total: 0,
    groups: [],
    counts: { open: 0, leak: 0, all: 1 },
  })
  await studio.services['curation.undo'](null, context)

  const before = await item(studio, 'a.png')
  const { root } = studio.context.project().folder
  await studio.close()
  for (const name of readdirSync(root).filter((one) => one.startsWith('library.db'))) rmSync(join(root, name))
  const again = await curatedStudio([], { folder })
  while (!again.context.project().alike.knowsAlike()) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await item(again, 'a.png')).toEqual(before)
  expect(await ask(again, 'leak:yes')).toEqual(['a-again.png', 'a-poor.jpg', 'a.png'])
  await again.close()
})

test('a measuring that is ended keeps what it has done and goes on from there', async () => {
  const folder = temporaryFolder()
  const pictures = join(folder, 'pictures')
  mkdirSync(pictures)
  for (let i = 0; i < 12; i++) writeFileSync(join(pictures, `${i}.png`), await plain(64, 64, `#0000${(i + 16).toString(16)}`))
  const studio = await curatedStudio([], { folder })
  await importInto(studio, pictures)
  const job = (await studio.services['curation.measure'](null, context)) as Job
  await new Promise((resolve) => setTimeout(resolve, 20))
  await studio.services['queue.cancel']({ id: job.id }, context)
  const done = (await ask(studio, 'measured:yes')).length
  expect(await measure(studio)).toMatchObject({ result: { measured: 12 - done, missing: 0 } })
  await studio.close()
})

test('pictures that an older studio measured are looked through for watermarks once', async () => {
  const folder = temporaryFolder()
  const pictures = join(folder, 'pictures')
  mkdirSync(pictures)
  writeFileSync(join(pictures, 'plain.png'), await landscape(640, 480))
  writeFileSync(join(pictures, 'stock.png'), await stamped(await landscape(640, 480), 'STOCK PHOTO'))
  const studio = await curatedStudio([], { folder })
  await importInto(studio, pictures)
  expect(await measure(studio)).toMatchObject({ result: { measured: 2 } })
  expect(await ask(studio, 'watermark>=0.5')).toEqual(['stock.png'])
  const { path } = studio.context.project().index.measureLog
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/"watermark":[\d.]+,/g, ''))
  expect(await ask(studio, 'watermark>=0.5')).toEqual([])
  expect((await item(studio, 'stock.png')).measures).toMatchObject({ watermark: null })
  expect(await measure(studio)).toMatchObject({ result: { measured: 2 } })
  expect(await ask(studio, 'watermark>=0.5')).toEqual(['stock.png'])
  expect(await measure(studio)).toMatchObject({ result: { measured: 0 } })
  await studio.close()
})
