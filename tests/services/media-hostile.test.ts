import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { DatasetFiles, readPixels } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { archiveLimits } from '#main/media/sources/archive-entry.ts'
import { TarTree } from '#main/media/sources/tar-tree.ts'
import { ZipTree } from '#main/media/sources/zip-tree.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { goodPictures, hostileCases, hostileList, type Fate } from '#tests/fixtures/hostile.ts'
import { plain } from '#tests/fixtures/pictures.ts'
import { tar, zip } from '../support/archives.ts'
import { fileOf, folderOf, itemsOf, type ShortItem } from '../support/source-items.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const limitMs = 10_000
const quiet = { fs: new SafeFs(), signal: new AbortController().signal, onProgress: () => undefined, mayRead: () => false }

test.each(hostileCases.map((one) => [one.what, one] as const))('ends with its reason: %s', async (_what, one) => {
  const home = temporaryFolder()
  const folder = join(home, 'source')
  mkdirSync(folder)
  writeFileSync(join(home, 'secret.png'), await plain(16, 16, '#123456'))
  await one.place(folder)
  const inSource = readdirSync(folder).sort()

  const datasetFolder = join(home, 'dataset')
  const started = performance.now()
  const ended = await importPictures(
    { kind: 'folder', path: one.import === undefined ? folder : join(folder, one.import) },
    { imageSize: 16, background: '#ffffff' },
    { ...quiet, datasetFolder, originalsFolder: join(home, 'originals'), mayRead: (path) => path === folder },
  ).then(
    () => null,
    (error: unknown) => error,
  )
  expect(performance.now() - started).toBeLessThan(limitMs)
  if (one.error) expect(ended).toMatchObject({ code: 'bad-source', message: expect.stringMatching(one.error) as string })
  else expect(ended).toBeNull()

  const ledger = await new DatasetFiles(datasetFolder, new SafeFs()).ledger()
  const fate = ({ state, reason }: (typeof ledger)[number]): Fate =>
    state === 'used' ? 'used' : state === 'partial' ? `partly: ${reason!}` : reason!
  expect(Object.fromEntries(ledger.map((line) => [line.source, fate(line)]))).toEqual(one.fates)
  for (const { state, detail } of ledger) if (state !== 'used') expect(detail).toMatch(/^\S[^\n]{10,240}\.$/)

  expect(readdirSync(folder).sort()).toEqual(inSource)
  const secret = Buffer.from([0x12, 0x34, 0x56])
  for (const shard of globSync(join(datasetFolder, 'shards', '*'))) expect(readFileSync(shard).includes(secret)).toBe(false)
})

test('the list of these files is the one in the README', () => {
  expect(hostileCases.length).toBeGreaterThanOrEqual(60)
  expect(readFileSync(join(import.meta.dirname, '../fixtures/README.md'), 'utf8')).toContain(`\n${hostileList()}\n`)
})

test.each(goodPictures)('comes in right: %s', async (_what, name, make, { isTurned = false, isGray = false } = {}) => {
  const folder = folderOf({ [name]: await make() })
  const datasetFolder = temporaryFolder()
  await importPictures(
    { kind: 'folder', path: folder },
    { imageSize: 16, background: '#ffffff' },
    { ...quiet, datasetFolder, originalsFolder: temporaryFolder() },
  )
  const [item] = await new DatasetFiles(datasetFolder, new SafeFs()).items()
  const rgb = readPixels(datasetFolder, item!, 16)
  const pixel = (x: number, y: number) => [...rgb.subarray((y * 16 + x) * 3, (y * 16 + x) * 3 + 3)] as [number, number, number]
  const [red, blue] = isTurned ? [pixel(8, 1), pixel(8, 14)] : [pixel(1, 8), pixel(14, 8)]
  if (isGray) {
    for (const [r, g, b] of [red, blue]) expect([g, b]).toEqual([r, r])
    expect(red[0]).toBeGreaterThan(blue[0] + 10)
  } else {
    expect(red[0] - red[2]).toBeGreaterThan(150)
    expect(blue[2] - blue[0]).toBeGreaterThan(100)
  }
})

describe('an archive of too much', () => {
  const files = Array.from({ length: 5 }, (_, i) => ({ name: `${i}.png`, bytes: 'x'.repeat(1000) }))
  const limits = { ...archiveLimits, entries: 4 }

  test.each([
    ['zip', () => ZipTree.open(fileOf('a.zip', zip(files)), limits)],
    ['tar', () => TarTree.open(fileOf('a.tar', tar(files)), limits)],
  ])('is refused by its number of entries: %s', async (_kind, open) => {
    await expect(open()).rejects.toMatchObject({ reason: 'bomb', message: 'The archive holds more than 4 entries. Split it.' })
  })

  test.each([
    ['zip', () => ZipTree.open(fileOf('a.zip', zip(files)), { ...archiveLimits, totalBytes: 3500 })],
    ['tar', () => TarTree.open(fileOf('a.tar', tar(files)), { ...archiveLimits, totalBytes: 3500 })],
  ])('gives what lies within the limit of bytes: %s', async (_kind, open) => {
    const tree = await open()
    const fates: (string | null)[] = []
    for await (const { refused } of tree.files()) fates.push(refused?.reason ?? null)
    await tree.close()
    expect(fates).toEqual([null, null, null, 'bomb', 'bomb'])
  })
})

describe('however it is damaged', () => {
  const files = { 'a.png': 'picture', 'a.txt': 'a cat', 'metadata.jsonl': '{"file_name":"a.png","text":"x"}', 'b/c.png': 'other' }
  const entries = Object.entries(files).map(([name, bytes]) => ({ name, bytes, method: 8 }))
  const toml = '[general]\ncaption_prefix = "x"\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = "."\nnum_repeats = 3\n'
  const table = { columnData: [{ name: 'file_name', data: ['a.png', 'b.png'], type: 'STRING' as const }] }

  test.each([
    ['a.zip', zip(entries)],
    ['a.tar', tar(entries)],
    ['a.tgz', gzipSync(tar(entries))],
    ['a.toml', Buffer.from(toml)],
    ['metadata.csv', Buffer.from('file_name,text\na.png,"x, ""y"""\nb/c.png,z\n')],
    ['metadata.parquet', Buffer.from(parquetWriteBuffer(table))],
  ])('%s is read or refused, and nothing else happens', { timeout: 60_000 }, async (name, good) => {
    const folder = folderOf({ 'a.png': 'x' })
    const path = name.startsWith('a.') ? join(folder, name) : folder
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(damage, fc.integer({ min: good.length >> 1, max: good.length }), async (changes, length) => {
        const bytes = Buffer.from(good)
        for (const [at, value] of changes) bytes[at] = value
        writeFileSync(join(folder, name), bytes.subarray(0, length))
        const items = await itemsOf(path).catch((error: unknown) => error)
        if (Array.isArray(items)) {
          for (const { bytes: read } of items as ShortItem[]) expect(String(read)).not.toMatch(/bug/)
          expect(new Set((items as ShortItem[]).map(({ source }) => source)).size).toBe(items.length)
        } else expect(items).toBeInstanceOf(StudioError)
      }),
      { numRuns: process.env.ZIGMA_LONG ? 20_000 : 150 },
    )
  })
})
