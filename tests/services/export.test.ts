import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { exportRequest, type ExportRequest } from '#contracts/export.ts'
import type { ItemId, JobId } from '#contracts/project.ts'
import { curationQuery, type MarksChange } from '#contracts/curation.ts'
import type { Job } from '#contracts/job.ts'
import type { Studio } from '#main/compose.ts'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { SafeFs, sha256, type FileOperation } from '#main/store/safe-fs.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const context = { signal: new AbortController().signal }

async function ended(studio: Studio, job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context.project().queue.list().find(({ id }) => id === job.id)! // prettier-ignore
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const size = 8

/** A studio whose data set is `count` pictures of a folder, half of them PNG and half JPEG, with captions. */
async function studioOf(count: number, { fs, folder = temporaryFolder() }: { fs?: SafeFs; folder?: string } = {}): Promise<Studio> {
  const source = join(folder, 'source')
  mkdirSync(source)
  for (let i = 0; i < count; i++) {
    const background = { r: (i * 53) % 256, g: (i * 97) % 256, b: (i * 31) % 256 }
    const picture = sharp({ create: { width: 20 + (i % 3), height: 16, channels: 3, background } })
    writeFileSync(join(source, `p${i}.${i % 2 ? 'jpg' : 'png'}`), await (i % 2 ? picture.jpeg() : picture.png()).toBuffer())
    writeFileSync(join(source, `p${i}.txt`), `picture number ${i}`)
  }
  const studio = await curatedStudio([], { folder, ...(fs ? { fs } : {}) })
  const request = { source: { kind: 'folder' as const, path: source }, options: { imageSize: size, background: '#ffffff' } }
  expect(await ended(studio, await studio.services['dataset.import'](request, context))).toMatchObject({ state: 'done' })
  return studio
}
const homeOf = (studio: Studio) => join(studio.context.project().folder.root, '..')

async function exportTo(studio: Studio, request: Partial<ExportRequest> & Pick<ExportRequest, 'layout' | 'folder'>): Promise<Job> {
  return ended(studio, await studio.services['export.start'](exportRequest.parse(request), context))
}
const all = async (studio: Studio) => [...(await studio.context.project().dataset.items())]
const mark = (studio: Studio, ids: readonly string[], marks: MarksChange) =>
  studio.services['curation.edit']({ target: { kind: 'ids', ids: ids as ItemId[] }, change: { kind: 'set', marks } }, context)

/** Every file of a folder, by its path, as the sha256 of its bytes. */
function filesOf(folder: string): Record<string, string> {
  const paths = globSync('**/*', { cwd: folder }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile()) // prettier-ignore
  return Object.fromEntries(paths.map((path) => [relative(folder, path), sha256(readFileSync(path))] as const).sort())
}
const jsonLines = (path: string) => readFileSync(path, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>) // prettier-ignore
/** What lies in a folder that nobody shall see: temporary names. */
const leftovers = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('.tmp'))

describe('an export', () => {
  test('to an image folder has the form that load_dataset("imagefolder") documents', async () => {
    const studio = await studioOf(20)
    const items = await all(studio)
    await mark(studio, [items[0]!.id], { tags: ['red', 'flat'], author: 'Ada "the first"', licence: 'CC-BY-4.0', split: 'test' })
    const folder = join(homeOf(studio), 'out')
    const job = await exportTo(studio, { layout: 'imagefolder', folder })
    expect(job).toMatchObject({ state: 'done', result: { kind: 'export', folder, totals: { items: 20, leftOut: [] } } })

    expect(readdirSync(folder).sort()).toEqual(['README.md', 'test', 'train', 'validation'])
    const rows = (split: string) => jsonLines(join(folder, split, 'metadata.jsonl'))
    for (const split of ['train', 'validation', 'test']) {
      const named = rows(split).map((row) => row['file_name'])
      expect(readdirSync(join(folder, split)).sort()).toEqual([...named, 'metadata.jsonl'].sort()) // relative to the list, each picture once
      for (const row of rows(split)) expect(Object.keys(row)).toEqual(['file_name', 'text', 'tags', 'author', 'license'])
      // Its readers take the types of columns from the first lines of each list, and want the same types in all lists.
      const types = Object.values(rows(split)[0]!).map((value) => (Array.isArray(value) ? [typeof value[0]] : typeof value))
      expect(types).toEqual(['string', 'string', ['string'], 'string', 'string'])
    }
    expect(rows('test')).toEqual([
      { file_name: `${items[0]!.id}.png`, text: items[0]!.caption, tags: ['red', 'flat'], author: 'Ada "the first"', license: 'CC-BY-4.0' },
    ])
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toMatch(/^---\npretty_name: /)
    await studio.close()
  })

  test('of the training pixels is a PNG of exactly what the trainer reads', async () => {
    const studio = await studioOf(6)
    const folder = join(homeOf(studio), 'out')
    await exportTo(studio, { layout: 'imagefolder', folder, splits: 'together' })
    for (const { id, pixelHash } of await all(studio)) {
      const { data, info } = await sharp(join(folder, `${id}.png`))
        .raw()
        .toBuffer({ resolveWithObject: true })
      expect(info).toMatchObject({ width: size, height: size, channels: 3 })
      expect(sha256(new Uint8Array(data))).toBe(pixelHash)
    }
    await studio.close()
  })

  test('of the originals is the files that were imported, byte for byte, and says which could not be had', async () => {
    const studio = await studioOf(5)
    const home = homeOf(studio)
    const folder = join(home, 'out')
    rmSync(join(home, 'source', 'p0.png'))
    writeFileSync(join(home, 'source', 'p2.png'), 'another file now')
    const job = await exportTo(studio, { layout: 'kohya', folder, pixels: 'originals', splits: 'together' })
    expect(job.result).toMatchObject({ totals: { items: 3, leftOut: [{ reason: 'original-away', items: 2 }] } })
    const hashes = (place: string, pattern: string) => globSync(pattern, { cwd: place }).map((name) => sha256(readFileSync(join(place, name)))).sort() // prettier-ignore
    expect(hashes(folder, '**/*.{png,jpg}')).toEqual(hashes(join(home, 'source'), 'p[134].*g'))
    expect(jsonLines(join(folder, 'left-out.jsonl')).map(({ source, reason }) => [source, reason]).sort()).toEqual([['p0.png', 'original-away'], ['p2.png', 'original-away']]) // prettier-ignore
    await studio.close()
  })

  test('as tars is read by tar itself, and the files of a sample follow each other under one key', async () => {
    const studio = await studioOf(7)
    const folder = join(homeOf(studio), 'out')
    await exportTo(studio, { layout: 'webdataset', folder, splits: 'together' })
    const names = execFileSync('tar', ['tf', join(folder, '00000.tar')], { encoding: 'utf8' }).trimEnd().split('\n') // prettier-ignore
    const ids = (await all(studio)).map(({ id }) => id)
    expect(names).toEqual(ids.flatMap((id) => [`${id}.png`, `${id}.txt`, `${id}.json`]))
    const record = execFileSync('tar', ['xOf', join(folder, '00000.tar'), `${ids[0]!}.json`], { encoding: 'utf8' })
    expect(JSON.parse(record)).toMatchObject({ key: ids[0], status: 'success', width: size, height: size })
    await studio.close()
  })

  test('for ZigMa has its own keys, and says what is not in it', async () => {
    const studio = await studioOf(40)
    const folder = join(homeOf(studio), 'out')
    await exportTo(studio, { layout: 'zigma', folder })
    expect(readdirSync(folder).sort()).toEqual(['README.md', 'train-000000.tar', 'validation-000000.tar'])
    const names = execFileSync('tar', ['tf', join(folder, 'train-000000.tar')], { encoding: 'utf8' }).trimEnd().split('\n') // prettier-ignore
    expect(new Set(names.map((name) => name.slice(name.indexOf('.'))))).toEqual(new Set(['.image.png', '.caption.json']))
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('img_feature256.npy')
    await expect(exportTo(studio, { layout: 'zigma', folder: join(homeOf(studio), 'other'), pixels: 'originals' })).rejects.toMatchObject({ code: 'invalid-request' }) // prettier-ignore
    await studio.close()
  })

  test('for kohya names its folders in a dataset file, and that file can be imported', async () => {
    const home = temporaryFolder()
    const studio = await curatedStudio([], { folder: home })
    for (const [folder, count] of [
      ['10_red cat', 3],
      ['2_dog', 2],
    ] as const)
      // prettier-ignore
      for (let i = 0; i < count; i++) {
        mkdirSync(join(home, 'source', folder), { recursive: true })
        writeFileSync(join(home, 'source', folder, `${i}.png`), await sharp({ create: { width: 9, height: 9, channels: 3, background: { r: i * 60, g: count * 50, b: 9 } } }).png().toBuffer()) // prettier-ignore
      }
    const source = { kind: 'folder' as const, path: join(home, 'source') }
    await ended(studio, await studio.services['dataset.import']({ source, options: { imageSize: size, background: '#ffffff' } }, context))
    const folder = join(home, 'out')
    await exportTo(studio, { layout: 'kohya', folder, splits: 'together' })
    expect(readdirSync(folder).sort()).toEqual(['10_red cat', '2_dog', 'README.md', 'dataset_config.toml'])
    const [dog] = (await studio.services['curation.query'](curationQuery.parse({ filter: { text: 'source:dog' } }), context)).items
    await mark(studio, [dog!.id], { caption: 'a dog', tags: ['brown', 'outdoors'] })
    await exportTo(studio, { layout: 'kohya', folder: join(home, 'tagged'), splits: 'together', tags: 'in-captions' })
    expect(readFileSync(join(home, 'tagged', '2_dog', `${dog!.id}.txt`), 'utf8')).toBe('a dog, brown, outdoors')

    const datasetFolder = join(home, 'again')
    await importPictures({ kind: 'file', path: join(folder, 'dataset_config.toml') }, { imageSize: size, background: '#ffffff' }, { datasetFolder, originalsFolder: join(home, 'none'), fs: new SafeFs(), mayRead: () => false, signal: context.signal, onProgress: () => undefined }) // prettier-ignore
    const again = (await new DatasetFiles(datasetFolder, new SafeFs()).items()) as unknown as { repeats: number; concept: string }[]
    expect(again.map(({ repeats, concept }) => `${repeats} ${concept}`).sort()).toEqual(['10 red cat', '10 red cat', '10 red cat', '2 dog', '2 dog']) // prettier-ignore
    await studio.close()
  })

  test('of the same data set is the same, byte for byte, in every layout; and a snapshot stays what it was', async () => {
    const studio = await studioOf(16)
    const home = homeOf(studio)
    const snapshot = await studio.context.project().dataset.freeze()
    const names = ['webdataset', 'imagefolder', 'kohya', 'zigma'] as const
    for (const layout of names) {
      await exportTo(studio, { layout, folder: join(home, `${layout} 1`) })
      await exportTo(studio, { layout, folder: join(home, `${layout} 2`) })
      await exportTo(studio, { layout, folder: join(home, `${layout} 3`), what: { kind: 'snapshot', name: snapshot } })
      expect(filesOf(join(home, `${layout} 2`))).toEqual(filesOf(join(home, `${layout} 1`)))
      expect(filesOf(join(home, `${layout} 3`))).toEqual(filesOf(join(home, `${layout} 1`)))
    }
    const [first] = await all(studio)
    await mark(studio, [first!.id], { caption: 'something else', split: 'test' })
    await exportTo(studio, { layout: 'zigma', folder: join(home, 'later'), what: { kind: 'snapshot', name: snapshot } })
    const { 'README.md': _card, ...before } = filesOf(join(home, 'zigma 1'))
    expect(filesOf(join(home, 'later'))).toMatchObject(before)
    expect(await studio.services['export.snapshots'](null, context)).toMatchObject([{ name: snapshot, items: 16, runs: [] }])
    await studio.close()
  })

  test('leaves rejected pictures out, and takes what a query or a selection means', async () => {
    const studio = await studioOf(6)
    const home = homeOf(studio)
    const items = await all(studio)
    await mark(studio, [items[0]!.id], { pick: 'reject' })
    await mark(studio, [items[0]!.id, items[1]!.id, items[2]!.id], { rating: 5 })
    const written = async (name: string, what?: ExportRequest['what']) => {
      const job = await exportTo(studio, { layout: 'imagefolder', folder: join(home, name), splits: 'together', ...(what ? { what } : {}) })
      return { totals: job.result?.kind === 'export' && job.result.totals, ids: globSync('*.png', { cwd: join(home, name) }).map((file) => file.slice(0, -4)).sort() } // prettier-ignore
    }
    const ids = items.map(({ id }) => id)
    expect(await written('all')).toMatchObject({ totals: { items: 5, leftOut: [{ reason: 'rejected', items: 1 }] }, ids: ids.slice(1) })
    const query = (text: string, except: ItemId[] = []) => ({ kind: 'query' as const, filter: { text, buckets: [] }, except })
    expect(await written('rated', query('rating>=4'))).toMatchObject({ totals: { leftOut: [{ reason: 'rejected', items: 1 }] }, ids: ids.slice(1, 3) }) // prettier-ignore
    expect((await written('words', query(items[3]!.caption))).ids).toEqual([ids[3]])
    expect((await written('but one', query('', [ids[5]!]))).ids).toEqual(ids.slice(1, 5))
    expect((await written('two', { kind: 'ids', ids: [ids[3]!, ids[4]!] })).ids).toEqual(ids.slice(3, 5))
    expect(await exportTo(studio, { layout: 'kohya', folder: join(home, 'none'), what: { kind: 'ids', ids: [ids[0]!] } })).toMatchObject({ state: 'failed', error: { code: 'bad-source' } }) // prettier-ignore
    expect(existsSync(join(home, 'none'))).toBe(false)
    await studio.close()
  })

  test('tells beforehand how many pictures and about how many bytes it will have', async () => {
    const studio = await studioOf(50)
    const folder = join(homeOf(studio), 'out')
    const items = await all(studio)
    await mark(studio, [items[0]!.id], { pick: 'reject' })
    await mark(studio, [items[1]!.id], { consent: 'refused' })
    for (const layout of ['webdataset', 'imagefolder'] as const) {
      const told = await studio.services['export.forecast'](
        { ...exportRequest.parse({ layout, folder }), what: { kind: 'query', filter: { text: '', buckets: [] }, except: [] } },
        context,
      )
      expect(told).toMatchObject({ items: 49, rejected: 1, consentRefused: 1, consentUnknown: 48, looked: 24, missing: 0 })
      await exportTo(studio, { layout, folder: join(folder, '..', layout) })
      const onDisk = Number(execFileSync('du', ['-s', '--block-size=1', join(folder, '..', layout)], { encoding: 'utf8' }).split('\t')[0])
      expect(told.sizeBytes / onDisk).toBeGreaterThan(0.6)
      expect(told.sizeBytes / onDisk).toBeLessThan(1.4)
    }
    await studio.close()
  })
})

describe('an export never', { timeout: 60_000 }, () => {
  test('writes over anything, nor where it must not', async () => {
    const studio = await studioOf(2)
    const home = homeOf(studio)
    const { folder } = studio.context.project()
    mkdirSync(join(home, 'full'))
    writeFileSync(join(home, 'full', 'mine.txt'), 'mine')
    writeFileSync(join(home, 'file'), 'mine')
    const start = (to: string) => studio.services['export.start'](exportRequest.parse({ layout: 'kohya', folder: to }), context)
    for (const [to, code, says] of [
      [join(home, 'full'), 'already-exists', 'not empty'],
      [join(home, 'file'), 'already-exists', 'is a file'],
      [join(home, 'file', 'x'), 'bad-source', 'Choose'],
      [join(home, 'not', 'there'), 'bad-source', 'Create it'],
      ['somewhere', 'invalid-request', 'whole path'],
      ['/etc/export', 'bad-source', '--allow'],
      [join(home, 'a:b'), 'invalid-request', 'name'],
      [join(home, 'nul'), 'invalid-request', 'name'],
      [join(home, 'dot.'), 'invalid-request', 'name'],
      [join(folder.dataset, 'export'), 'invalid-request', 'own files'],
      [folder.root, 'already-exists', 'not empty'],
    ] as const)
      await expect(start(to)).rejects.toMatchObject({ code, message: expect.stringContaining(says) as string })
    expect(readdirSync(join(home, 'full'))).toEqual(['mine.txt'])

    mkdirSync(join(home, 'empty'))
    expect(await exportTo(studio, { layout: 'kohya', folder: join(home, 'empty') })).toMatchObject({ state: 'done' })
    const { folder: suggested } = await studio.services['export.suggestFolder']({ layout: 'kohya', parent: null }, context)
    expect(await exportTo(studio, { layout: 'kohya', folder: suggested })).toMatchObject({ state: 'done' })
    expect(suggested).toBe(join(folder.exports, 'project kohya'))
    expect(await studio.services['export.suggestFolder']({ layout: 'kohya', parent: null }, context)).toEqual({ folder: `${suggested} 2` })
    await studio.close()
  })

  test.each(['webdataset', 'kohya'] as const)('leaves a part behind, whichever file operation fails on a full disk: %s', async (layout) => {
    let broken: { operation: FileOperation; at: number } | null = null
    let seen = 0
    const fs = new SafeFs((operation, path) => {
      if (broken && /out|exports/.test(path) && operation === broken.operation && seen++ === broken.at)
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      return undefined
    })
    const studio = await studioOf(1, { fs })
    const home = homeOf(studio)
    for (const operation of ['open', 'write', 'sync', 'rename', 'folder'] as const) {
      for (let at = 0; ; at++) {
        ;[broken, seen] = [{ operation, at }, 0]
        const job = await exportTo(studio, { layout, folder: join(home, 'out') })
        broken = null
        if (job.state === 'done') {
          rmSync(join(home, 'out'), { recursive: true })
          break
        }
        expect(job).toMatchObject({ state: 'paused', error: { code: 'disk-full' } })
        expect(readdirSync(home).filter((name) => /out/.test(name))).toEqual([])
        await studio.services['queue.cancel']({ id: job.id }, context)
      }
    }
    expect(await exportTo(studio, { layout, folder: join(home, 'out') })).toMatchObject({ state: 'done' }) // as if nothing had been
    await studio.close()
  })

  test('outlives its end: a canceled one leaves nothing, a killed one begins anew', async () => {
    const studio = await studioOf(60)
    const home = homeOf(studio)
    const start = async (folder: string) => studio.services['export.start'](exportRequest.parse({ layout: 'kohya', folder }), context)
    const job = await start(join(home, 'out'))
    while (!leftovers(home).some((name) => existsSync(join(home, name, 'train')))) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(await studio.services['queue.cancel']({ id: job.id as JobId }, context)).toMatchObject({ state: 'cancelled' })
    expect([existsSync(join(home, 'out')), leftovers(home)]).toEqual([false, []])

    studio.context.project().queue.pause('now')
    const waiting = await start(join(home, 'out'))
    mkdirSync(join(home, `.tmp-${waiting.id}-out`, 'train'), { recursive: true }) // of a studio that was killed
    await studio.close()
    const again = await curatedStudio([], { folder: home })
    expect(leftovers(home)).toEqual([])
    again.context.project().queue.resume()
    expect(await ended(again, waiting)).toMatchObject({ state: 'done' })
    expect(globSync('**/*.png', { cwd: join(home, 'out') })).toHaveLength(60)
    await again.close()
  })
})

test('an export whose sources are away brings all pictures that the project has copies of', async () => {
  const home = temporaryFolder()
  const studio = await studioOf(3, { folder: home })
  const source = { kind: 'folder' as const, path: join(home, 'source'), originals: 'copy' as const }
  await ended(studio, await studio.services['dataset.import']({ source, options: { imageSize: size, background: '#ffffff' } }, context))
  renameSync(join(home, 'source'), join(home, 'unplugged'))
  const job = await exportTo(studio, { layout: 'webdataset', folder: join(home, 'out'), pixels: 'originals' })
  expect(job.result).toMatchObject({ totals: { items: 3, leftOut: [] } })
  await studio.close()
})

test('what was said of pictures in one project is known in another that imports its export', async () => {
  const studio = await studioOf(3)
  const home = homeOf(studio)
  const [one] = await all(studio)
  const said = { caption: 'a "quoted"\nword', captions: ['einmal', '一次'], tags: ['red'], author: 'Ada', licence: 'CC0-1.0', origin: 'https://example.org/1', consent: 'given', split: 'test', repeats: 12 } as const // prettier-ignore
  await mark(studio, [one!.id], { ...said, captions: [...said.captions], tags: [...said.tags] })
  for (const layout of ['webdataset', 'imagefolder', 'kohya'] as const) {
    await exportTo(studio, { layout, folder: join(home, layout), pixels: 'originals' })
    const folder = temporaryFolder()
    const other = await curatedStudio([], { folder, mayRead: home })
    const source = { kind: 'folder' as const, path: join(home, layout) }
    await ended(other, await other.services['dataset.import']({ source, options: { imageSize: size, background: '#ffffff' } }, context))
    expect(await other.services['curation.get']({ id: one!.id }, context)).toMatchObject({ ...said, caption: 'a "quoted" word', splitByHand: false }) // prettier-ignore
    const query = curationQuery.parse({ filter: { text: 'consent:given' } })
    expect(await other.services['curation.query'](query, context)).toMatchObject({ total: 1 })
    await other.close()
  }
  await studio.close()
})

test('the card is saved under a name that is free', async () => {
  const studio = await studioOf(2)
  const home = homeOf(studio)
  const save = () => studio.services['export.saveCard']({ folder: home }, context)
  expect(await save()).toEqual({ path: join(home, 'project card.md') })
  expect(await save()).toEqual({ path: join(home, 'project card 2.md') })
  expect(readFileSync(join(home, 'project card.md'), 'utf8')).toBe((await studio.services['curation.card'](null, context)).markdown)
  expect(statSync(join(home, 'project card.md')).size).toBeGreaterThan(500)
  await studio.close()
})
