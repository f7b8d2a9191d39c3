import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import { DatasetFiles, readPixels } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { PictureError } from '#main/media/picture.ts'
import { archiveLimits } from '#main/media/sources/archive-entry.ts'
import { parquetRows } from '#main/media/sources/parquet.ts'
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

  test.each([
    ['a.zip', zip(entries)],
    ['a.tar', tar(entries)],
    ['a.tgz', gzipSync(tar(entries))],
    ['a.toml', Buffer.from(toml)],
    ['metadata.csv', Buffer.from('file_name,text\na.png,"x, ""y"""\nb/c.png,z\n')],
  ])('%s is read or refused, and nothing else happens', { timeout: 600_000 }, async (name, good) => {
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
      { numRuns: process.env.ZIGMA_LONG ? 20_000 : 100 },
    )
  })

  test('a compressed tar that ends in a file of which nobody knows whether it is a picture gives what comes before, and says why not that one', async () => {
    const noise = Uint8Array.from({ length: 5000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 255)
    const good = gzipSync(tar([{ name: 'a.png', bytes: 'picture' }, { name: 'b.dat', bytes: noise }])) // prettier-ignore
    const items = await itemsOf(fileOf('a.tgz', good.subarray(0, 350)))
    expect(items.map(({ source, refused }) => [source, refused])).toEqual([['a.png', undefined], ['b.dat', 'corrupt'], ['(end of the archive)', 'corrupt']]) // prettier-ignore
  })

  describe('a table in Parquet', () => {
    const names = Array.from({ length: 300 }, (_, i) => `file${i % 7}.png`)
    const column = (name: string) => ({ name, data: names, type: 'STRING' as const })
    const numbers = { name: 'n', data: names.map((_, i) => BigInt(i)), type: 'INT64' as const }
    const good = Buffer.from(parquetWriteBuffer({ codec: 'SNAPPY', columnData: [column('file_name'), column('text'), numbers] }))
    const read = async (bytes: Buffer, secondsLimit: number) => {
      let count = 0
      for await (const { file_name: name } of parquetRows(bytes, ['file_name', 'text'], secondsLimit)) if (name !== null) count++
      return count
    }

    test('is given up when it keeps its reader busy', async () => {
      const busy = Buffer.from(good)
      for (const [at, value] of [[197, 25], [276, 43], [298, 96]] as const) busy[at] = value // prettier-ignore
      const started = performance.now()
      await expect(Promise.all([read(good, 10), read(busy, 1)])).rejects.toMatchObject({
        reason: 'metadata-broken',
        message: 'The table is damaged (reading it takes more than 1 seconds). Write it anew.',
      })
      expect(performance.now() - started).toBeLessThan(5000)
    })

    test('is read or refused', { timeout: 900_000 }, async () => {
      const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 })
      await fc.assert(
        fc.asyncProperty(damage, async (changes) => {
          const bytes = Buffer.from(good)
          for (const [at, value] of changes) bytes[at] = value
          const count = await read(bytes, 0.5).catch((error: unknown) => error)
          expect(typeof count === 'number' || (count instanceof PictureError && count.reason === 'metadata-broken')).toBe(true)
        }),
        { numRuns: process.env.ZIGMA_LONG ? 1000 : 12 },
      )
    })
  })
})
