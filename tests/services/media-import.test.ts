import { execFileSync, spawn } from 'node:child_process'
import {
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ImportSource, LedgerTotals } from '#contracts/dataset.ts'
import type { ItemId } from '#contracts/project.ts'
import { DatasetFiles, openSnapshot, readPixels } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { readOriginals } from '#main/media/originals.ts'
import { trainingPicture } from '#main/media/picture.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { bomb, noisy, plain, redBlue, svg } from '#tests/fixtures/pictures.ts'
import { tar, zip } from '../support/archives.ts'
import { sayCaption } from '../support/say-caption.ts'
import { fileOf, folderOf, type Files } from '../support/source-items.ts'

const options = { imageSize: 16, background: '#ffffff' }
const newFolder = () => mkdtempSync(join(tmpdir(), 'zigma-import-'))

interface Import {
  into?: string
  fs?: SafeFs
  signal?: AbortSignal
  onFile?: (file: string) => void
  imageSize?: number
}
async function importFrom(
  from: string | ImportSource,
  { into = newFolder(), fs = new SafeFs(), signal, onFile, imageSize = 16 }: Import = {},
) {
  const source: ImportSource = typeof from === 'string' ? { kind: 'folder', path: from } : from
  const totals = await importPictures(
    source,
    { ...options, imageSize },
    {
      datasetFolder: into,
      originalsFolder: join(into, 'sources'),
      mayRead: () => true,
      fs,
      signal: signal ?? new AbortController().signal,
      onProgress: ({ file }) => onFile?.(file),
    },
  )
  return { into, totals, dataset: new DatasetFiles(into, new SafeFs()) }
}

async function ledgerOf(into: string): Promise<Record<string, [string, string | null]>> {
  return Object.fromEntries(
    (await new DatasetFiles(into, new SafeFs()).ledger()).map(({ source, state, reason }) => [source, [state, reason]]),
  )
}
const captionsOf = async (into: string) =>
  Object.fromEntries((await new DatasetFiles(into, new SafeFs()).items()).map(({ source, caption }) => [source, caption]))
const colors = (count: number, size = 16) =>
  Promise.all(Array.from({ length: count }, (_, i) => plain(size, size, `#${(i * 65_537 + 1).toString(16).padStart(6, '0')}`)))
const entriesOf = (files: Files) => Object.entries(files).map(([name, bytes]) => ({ name, bytes }))
const named = (pictures: readonly Uint8Array[], name = (i: number) => `${i}.png`) =>
  Object.fromEntries(pictures.map((bytes, i) => [name(i), bytes]))

describe('a folder with everything in it that can go wrong', () => {
  let folder = ''
  let into = ''
  let totals: LedgerTotals

  beforeAll(async () => {
    const cat = await plain(32, 32, '#aa0000')
    folder = folderOf({
      'good.png': await plain(32, 32),
      'a "quoted" name.png': await plain(32, 32, '#00aa00'),
      '-rf --no-dash.png': await plain(32, 32, '#0000aa'),
      'line\nbreak.png': await plain(32, 32, '#00aaaa'),
      "it's $(here); `true`.png": await plain(32, 32, '#aaaa00'),
      'deep/er/cat.png': cat,
      'deep/copy of cat.png': cat,
      'wide.png': await redBlue(64, 32),
      'tiny.png': await plain(4, 4),
      'empty.png': '',
      'truncated.jpg': (await noisy(100, 'jpeg')).subarray(0, 3000),
      'corrupt.png': Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(100, 7)]),
      'bomb.png': bomb(30_000),
      'drawing.svg': svg,
      'hidden-svg.png': svg,
      'notes.md': '# notes',
      'no ending': await plain(32, 32, '#123456'),
      'latin1.png': await plain(32, 32, '#654321'),
      'latin1.txt': Buffer.from('caf\xe9', 'latin1'),
    })
    const elsewhere = folderOf({ 'outside.png': await plain(32, 32, '#999999') })
    symlinkSync(join(elsewhere, 'outside.png'), join(folder, 'link.png'))
    symlinkSync(folder, join(folder, 'loop'))
    symlinkSync(elsewhere, join(folder, 'linked folder'))
    execFileSync('mkfifo', [join(folder, 'pipe.png')])
    ;({ into, totals } = await importFrom(folder))
  })

  test('loses no file: each is in the ledger with what became of it', async () => {
    expect(await ledgerOf(into)).toEqual({
      'good.png': ['used', null],
      'a "quoted" name.png': ['used', null],
      '-rf --no-dash.png': ['used', null],
      'line\nbreak.png': ['used', null],
      "it's $(here); `true`.png": ['used', null],
      'deep/copy of cat.png': ['used', null],
      'deep/er/cat.png': ['rejected', 'duplicate'],
      'wide.png': ['partial', 'cropped'],
      'tiny.png': ['rejected', 'too-small'],
      'empty.png': ['rejected', 'empty-file'],
      'truncated.jpg': ['rejected', 'corrupt'],
      'corrupt.png': ['rejected', 'corrupt'],
      'bomb.png': ['rejected', 'too-many-pixels'],
      'drawing.svg': ['rejected', 'unsupported-format'],
      'hidden-svg.png': ['rejected', 'unsupported-format'],
      'notes.md': ['rejected', 'not-a-picture'],
      'no ending': ['used', null],
      'latin1.png': ['partial', 'caption-not-utf8'],
      'link.png': ['rejected', 'link-outside'],
      loop: ['rejected', 'link-outside'],
      'linked folder': ['rejected', 'link-outside'],
      'pipe.png': ['rejected', 'not-a-file'],
    })
    expect(totals).toEqual({ found: 22, used: 7, partial: 2, rejected: 13 })
  })

  test('gets a sentence for each file that is not used as it is', async () => {
    for (const { state, detail } of await new DatasetFiles(into, new SafeFs()).ledger())
      if (state !== 'used') expect(detail).toMatch(/^\S[^\n]{10,240}\.$/)
  })

  test('is left as it was', () => {
    const before = statSync(join(folder, 'good.png'))
    expect(readdirSync(folder)).not.toContain('.tmp')
    expect(before.mtimeMs).toBe(statSync(join(folder, 'good.png')).mtimeMs)
  })
})

describe('captions', () => {
  test('come from the sidecar, then metadata.jsonl, then the words of the name, then the folder', async () => {
    const pictures = await colors(6)
    const { into } = await importFrom(
      folderOf({
        'side.png': pictures[0]!,
        'side.txt': ' a  red\napple ',
        'other.png': pictures[1]!,
        'other.caption': 'a pear',
        'listed.png': pictures[2]!,
        'metadata.jsonl': `{"file_name":"listed.png","text":"from the list"}\nnot json\n{"file_name":"side.png","text":"loses to the sidecar"}\n`,
        'red-fox_jumping 02.png': pictures[3]!,
        'cats/0001.png': pictures[4]!,
        '红苹果.png': pictures[5]!,
      }),
    )
    expect(await captionsOf(into)).toEqual({
      'side.png': 'a red apple',
      'other.png': 'a pear',
      'listed.png': 'from the list',
      'red-fox_jumping 02.png': 'red fox jumping',
      'cats/0001.png': 'cats',
      '红苹果.png': '红苹果',
    })
  })

  test('that changed in their files are taken over by the next import, those edited in the studio stay', async () => {
    const pictures = await colors(2)
    const folder = folderOf({ 'a.png': pictures[0]!, 'a.txt': 'old', 'b.png': pictures[1]!, 'b.txt': 'old' })
    const { into, dataset } = await importFrom(folder)
    const id = (await dataset.items()).find(({ source }) => source === 'b.png')!.id
    await sayCaption(dataset, id, 'edited')
    writeFileSync(join(folder, 'a.txt'), 'new')
    writeFileSync(join(folder, 'b.txt'), 'new')
    await importFrom(folder, { into })
    expect(await captionsOf(into)).toEqual({ 'a.png': 'new', 'b.png': 'edited' })
    expect((await dataset.items()).map(({ caption }) => caption).sort()).toEqual(['edited', 'new'])
  })

  test('of a picture that is there already are not used, and that is said; nothing is where they are its name', async () => {
    const bytes = await plain(16, 16, '#123456')
    const { into } = await importFrom(folderOf({ 'a.png': bytes, 'b.png': bytes, 'c.png': bytes, 'c.txt': 'a cat' }))
    const details = (await new DatasetFiles(into, new SafeFs()).ledger()).map(({ source, detail }) => [source, detail])
    const same = 'The picture is the same as "a.png", byte for byte.'
    expect(details).toEqual([
      ['a.png', null],
      ['b.png', same],
      ['c.png', `${same} What its own caption and tags say is not used: add it to the other, or remove the other and import again.`],
    ])
  })

  test('that are only the name of a kohya folder are not missed in a copy', async () => {
    const bytes = await plain(16, 16, '#123456')
    const { into } = await importFrom(folderOf({ '10_red cat/a.png': bytes, '10_red cat/b.png': bytes }))
    const details = (await new DatasetFiles(into, new SafeFs()).ledger()).map(({ detail }) => detail)
    expect(details).toEqual([null, 'The picture is the same as "10_red cat/a.png", byte for byte.'])
  })
})

describe('a source without pictures', () => {
  test.each([
    ['an empty folder', {}, /^There is no picture in "[^"]+" and no video\. Choose a folder with PNG/],
    ['a folder with a text', { 'a.md': 'x' }, /no video, only one other file\. Choose/],
    ['a folder of texts', { 'a.md': 'x', 'b.md': 'y' }, /no video, only 2 other files\. Choose/],
  ])('is said to be one: %s', async (_kind, files, message) => {
    await expect(importFrom(folderOf(files))).rejects.toMatchObject({
      code: 'bad-source',
      message: expect.stringMatching(message) as string,
    })
  })

  test('that is one file without a byte is said to be empty', async () => {
    await expect(importFrom(join(folderOf({ 'a.png': '' }), 'a.png'))).rejects.toMatchObject({
      code: 'bad-source',
      message: expect.stringMatching(/a\.png": The file has 0 bytes\. Copy it again from its source\.$/) as string,
    })
  })

  test('that is not there is said not to be', async () => {
    await expect(importFrom('/nowhere/at all')).rejects.toMatchObject({
      code: 'bad-source',
      message: '"/nowhere/at all" cannot be read. Check that it is there and that you may open it.',
    })
  })
})

describe('what the trainer reads', () => {
  test('is what the preview shows, byte for byte, in the order of the snapshot', async () => {
    const pictures = [await redBlue(64, 32), await noisy(33, 'png'), await plain(16, 16)]
    const { into, dataset } = await importFrom(folderOf(named(pictures)))
    using reader = await openSnapshot(into, await dataset.freeze())
    const items = await dataset.items()
    expect(reader.size).toBe(3)
    for (const [index, item] of items.entries()) {
      const made = (await trainingPicture(pictures[Number(item.source[0])]!, options)).rgb
      expect(reader.image(index)).toEqual(made)
      expect(readPixels(into, item, 16)).toEqual(made)
      expect(reader.captions[index]).toEqual([item.caption])
    }
  })

  test('stays as it was frozen, whatever is edited or imported later', async () => {
    const pictures = await colors(4)
    const { into, dataset } = await importFrom(folderOf(named(pictures.slice(0, 2), (i) => `cat ${'ab'[i]}.png`)))
    const snapshot = await dataset.freeze()
    await sayCaption(dataset, (await dataset.items())[0]!.id, 'changed')
    await importFrom(folderOf(named(pictures.slice(2))), { into })
    using reader = await openSnapshot(into, snapshot)
    expect(reader.captions.flat().sort()).toEqual(['cat a', 'cat b'])
    expect(await dataset.freeze()).not.toBe(snapshot)
  })

  test('is missed with one sentence when the shard was cut short', async () => {
    const { into, dataset } = await importFrom(folderOf(named(await colors(3))))
    const snapshot = await dataset.freeze()
    const shard = join(into, 'shards', '00000.bin')
    writeFileSync(shard, readFileSync(shard).subarray(0, 16 * 16 * 3 * 2 + 5))
    using reader = await openSnapshot(into, snapshot)
    expect(() => [0, 1, 2].map((index) => reader.image(index))).toThrow(
      'Shard 0 of the data set ends before picture 2. Import the pictures again.',
    )
  })

  test.each(['../../etc', 'a'.repeat(64), ''])('is no snapshot by the name "%s"', async (name) => {
    const { into } = await importFrom(folderOf(named(await colors(1))))
    await expect(openSnapshot(into, name)).rejects.toMatchObject({ code: expect.stringMatching(/invalid-request|not-found/) as string })
  })

  test('has the edge that the data set says now, whoever wrote it and however often it was asked for', async () => {
    const { into, dataset } = await importFrom(folderOf(named(await colors(1))))
    expect([await dataset.imageSize(), await dataset.imageSize()]).toEqual([16, 16])
    await new DatasetFiles(into, new SafeFs()).setImageSize(64)
    expect(await dataset.imageSize()).toBe(64)
    rmSync(join(into, 'dataset.json'))
    expect(await dataset.imageSize()).toBeNull()
  })
})

describe('the snapshot', () => {
  test('is the same whatever the order of import and the names of folders, and another when a caption differs', async () => {
    const pictures = await colors(6)
    const caption = (i: number) => `pet ${'abcdef'[i]}`
    const files = named(pictures, (i) => `${caption(i)}.png`)
    const whole = await importFrom(folderOf(files))
    const late = await importFrom(folderOf(Object.fromEntries(Object.entries(files).slice(3))))
    await importFrom(folderOf(Object.fromEntries(Object.entries(files).slice(0, 3))), { into: late.into })
    const [hash, hashLate] = [await whole.dataset.freeze(), await late.dataset.freeze()]
    expect(hashLate).toBe(hash)
    await sayCaption(late.dataset, (await late.dataset.items())[0]!.id, 'other')
    expect(await late.dataset.freeze()).not.toBe(hash)
  })

  test('holds back 16 of 200 pictures and 2 % of many, chosen by content', async () => {
    const { dataset, into } = await importFrom(folderOf(named(await colors(200, 8))))
    const held = async () => (await dataset.items()).filter(({ split }) => split === 'validation').map(({ id }) => id)
    expect((await dataset.describe()).validationItems).toBe(16)
    const before = await held()
    await importFrom(folderOf(named(await colors(200, 8), (i) => `again ${i}.png`)), { into })
    expect(await held()).toEqual(before)
  })
})

describe('an import that is disturbed', () => {
  const undisturbed = async (folder: string) => (await importFrom(folder)).dataset.freeze()

  test('goes on where it was cancelled and ends as one that never was', async () => {
    const folder = folderOf(named(await colors(20)))
    const into = newFolder()
    const abort = new AbortController()
    let seen = 0
    const onFile = () => void (++seen === 8 && abort.abort(new Error('stop')))
    await expect(importFrom(folder, { into, signal: abort.signal, onFile })).rejects.toThrow('stop')
    expect(await new DatasetFiles(into, new SafeFs()).items()).toHaveLength(8)
    const { dataset, totals } = await importFrom(folder, { into })
    expect(totals).toEqual({ found: 20, used: 20, partial: 0, rejected: 0 })
    expect(await dataset.freeze()).toBe(await undisturbed(folder))
  })

  test('loses nothing, whichever file operation fails on a full disk, even in the middle of a line', async () => {
    const folder = folderOf(named(await colors(3)))
    const expected = await undisturbed(folder)
    const source: ImportSource = { kind: 'folder', path: folder, originals: 'copy' }
    let operations = 0
    await importFrom(source, { fs: new SafeFs(() => void operations++) })
    expect(operations).toBeGreaterThan(8)
    for (let failing = 0; failing < operations; failing++) {
      const into = newFolder()
      let count = 0
      let halfWritten = false
      const full = new SafeFs((operation, _path, sizeBytes) => {
        if (halfWritten || (count++ === failing && operation !== 'write'))
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
        if (count - 1 === failing) {
          halfWritten = true // the disk takes half of what was asked, and nothing more after that
          return Math.floor(sizeBytes / 2)
        }
        return undefined
      })
      await expect(importFrom(source, { into, fs: full })).rejects.toMatchObject({ code: 'disk-full' })
      const { dataset, totals } = await importFrom(source, { into })
      expect([failing, totals]).toEqual([failing, { found: 3, used: 3, partial: 0, rejected: 0 }])
      expect(await dataset.freeze()).toBe(expected)
      expect((await dataset.describe()).roots).toMatchObject([{ items: 3, copied: 3 }])
    }
  })

  const packed = (name: string, pack: (files: readonly { name: string; bytes: Uint8Array }[]) => Uint8Array) => async () => {
    const pictures = await colors(40)
    return fileOf(name, pack(pictures.map((bytes, i) => ({ name: `${i}.png`, bytes }))))
  }

  test.each([
    ['a folder', async () => folderOf(named(await colors(40)))],
    ['a zip', packed('a.zip', zip)],
    ['a compressed tar', packed('a.tgz', (files) => gzipSync(tar(files)))],
  ])('ends the same after kill -9, whenever that comes: %s', async (_kind, make) => {
    const path = await make()
    const expected = await undisturbed(path)
    const into = newFolder()
    for (const killAt of process.env.ZIGMA_LONG ? Array.from({ length: 39 }, (_, i) => i + 1) : [1, 23]) {
      const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'support', 'import-folder.ts'), path, into])
      child.stdout.on('data', (text: Buffer) => {
        if (text.toString().trim().split('\n').some((done) => Number(done) >= killAt)) child.kill('SIGKILL') // prettier-ignore
      })
      await new Promise((resolve) => child.once('exit', resolve))
    }
    const { dataset, totals } = await importFrom({ kind: 'folder', path, originals: 'copy' }, { into })
    expect(totals).toEqual({ found: 40, used: 40, partial: 0, rejected: 0 })
    expect(await dataset.freeze()).toBe(expected)
    expect(readdirSync(join(into, 'shards')).filter((name) => !/^\d{5}\.bin$/.test(name))).toEqual([])
    const copies = readdirSync(join(into, 'sources'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const hashes = (await dataset.ledger()).map(({ fileHash }) => fileHash!)
    expect(copies.map(({ name }) => basename(name, '.png')).sort()).toEqual(hashes.sort())
  })

  test('that is done again changes nothing', async () => {
    const folder = folderOf(named(await colors(5)))
    const { into, dataset } = await importFrom(folder)
    const before = [readFileSync(join(into, 'ledger.jsonl'), 'utf8'), readdirSync(join(into, 'shards')), await dataset.freeze()]
    await importFrom(folder, { into })
    expect([readFileSync(join(into, 'ledger.jsonl'), 'utf8'), readdirSync(join(into, 'shards')), await dataset.freeze()]).toEqual(before)
  })

  test('takes a picture that changed, and the twin of one that did', async () => {
    const [one, two] = await colors(2)
    const folder = folderOf({ 'a.png': one!, 'b.png': one! })
    const { into, dataset } = await importFrom(folder)
    writeFileSync(join(folder, 'a.png'), two!)
    utimesSync(join(folder, 'a.png'), new Date(), new Date())
    await importFrom(folder, { into })
    await importFrom(folder, { into })
    expect(await ledgerOf(into)).toEqual({ 'a.png': ['used', null], 'b.png': ['used', null] })
    expect(await dataset.items()).toHaveLength(2)
  })

  test('at another size is refused while pictures of the first are there', async () => {
    const folder = folderOf(named(await colors(2)))
    const { into } = await importFrom(folder)
    await expect(importFrom(folder, { into, imageSize: 32 })).rejects.toMatchObject({
      message: 'The data set holds pictures of 16 x 16 pixels, and this import asks for 32. Import at 16 or start a new project.',
    })
  })
})

describe('originals', () => {
  test('are referred to where they are, or kept by the project under their hash, once each and as they were', async () => {
    const [one, two] = await colors(2)
    const folder = folderOf({ 'a.png': one!, 'twin.png': one!, 'b.png': two!, 'bad.png': 'x' })
    const { into, dataset } = await importFrom(folder)
    expect(globSync(join(into, 'sources', '*'))).toEqual([])
    const before = await dataset.freeze()

    await importFrom({ kind: 'folder', path: folder, originals: 'copy' }, { into })
    const copies = globSync(join(into, 'sources', '*', '*'))
    expect(copies.map((path) => basename(path)).sort()).toEqual([one!, two!].map((bytes) => `${sha256(bytes)}.png`).sort())
    expect(copies.map((path) => sha256(readFileSync(path)))).toEqual(copies.map((path) => basename(path, '.png')))
    expect(await dataset.freeze()).toBe(before)
    expect((await dataset.describe()).roots).toMatchObject([{ root: folder, state: 'online', found: 4, items: 2, copied: 2 }])
  })

  test('that are gone leave their source offline and all that was imported in place', async () => {
    const folder = folderOf(named(await colors(2)))
    const { into, dataset } = await importFrom(folder)
    const { items, snapshot } = await dataset.describe()
    renameSync(folder, `${folder} elsewhere`)
    expect(await dataset.describe()).toMatchObject({ items, snapshot, roots: [{ root: folder, state: 'offline', found: 2, items: 2 }] })
    await expect(importFrom(folder, { into })).rejects.toMatchObject({ code: 'bad-source' })
    renameSync(`${folder} elsewhere`, folder)
    expect(await dataset.describe()).toMatchObject({ items, snapshot, roots: [{ root: folder, state: 'online' }] })
  })
})

describe('the file of an item', () => {
  const both = async (into: string, root: string) => {
    const lines = await new DatasetFiles(into, new SafeFs()).ledger()
    const wanted = lines.map(({ source, fileHash, item }) => ({ source, fileHash: fileHash!, copied: item?.copied }))
    const found: [string, number | null][] = []
    for await (const [{ source }, bytes] of readOriginals(root, wanted, join(into, 'sources'))) found.push([source, bytes?.length ?? null])
    return found
  }

  test.each([
    ['a folder', (files: Files) => folderOf(files), 'a.png'],
    ['a zip', (files: Files) => fileOf('a.zip', zip(entriesOf(files))), 'a.png'],
    ['a compressed tar', (files: Files) => fileOf('a.tgz', gzipSync(tar(entriesOf(files)))), 'a.png'],
    ['a folder of shards', (files: Files) => folderOf({ '0.tar': tar(entriesOf(files)), '1.tar': tar([]) }), '0.tar/a.png'],
    ['a TOML file', (files: Files) => join(folderOf({ ...files, 'x.toml': '[[directory]]\npath="."' }), 'x.toml'), './a.png'],
  ])('can be read again from %s while it is as it was', async (_kind, pack, source) => {
    const [one, two] = await colors(2)
    const root = pack({ 'a.png': one! })
    const { into } = await importFrom(root)
    expect((await both(into, root)).filter(([name]) => name === source)).toEqual([[source, one!.length]])
    expect((await both(into, '/nowhere')).filter(([name]) => name === source)).toEqual([[source, null]])
    if (source !== 'a.png' || !statSync(root).isDirectory()) return
    writeFileSync(join(root, 'a.png'), two!)
    expect(await both(into, root)).toEqual([[source, null]])
  })

  test('is read from its copy while the source is away', async () => {
    const [one] = await colors(1)
    const root = folderOf({ 'a.png': one! })
    const { into } = await importFrom({ kind: 'folder', path: root, originals: 'copy' })
    rmSync(root, { recursive: true })
    expect(await both(into, root)).toEqual([['a.png', one!.length]])
  })
})

test('what a source says of its pictures is in the ledger, and changes when that changes', async () => {
  const [one, two] = await colors(2)
  const folder = folderOf({
    '3_cat/a.png': one!,
    '3_cat/b.png': two!,
    '3_cat/a.json': '{"caption":["first","second"],"tags":["Big"],"license":"CC0"}',
  })
  const { into, dataset } = await importFrom(folder)
  const said = async () => (await dataset.ledger()).map(({ item }) => item)
  expect(await said()).toMatchObject([
    { caption: 'first', captions: ['second'], tags: ['big'], licence: 'CC0', repeats: 3, concept: 'cat' },
    { caption: 'cat', repeats: 3, concept: 'cat' },
  ])
  rmSync(join(folder, '3_cat/a.json'))
  await importFrom(folder, { into })
  const [first] = await said()
  expect(first).toMatchObject({ caption: 'cat', repeats: 3 })
  expect(Object.keys(first!)).not.toContain('tags')
})

describe('the sample set', () => {
  test('is all of Noto Emoji but the flags, with names as captions and no picture lost', async () => {
    const { totals, dataset } = await importFrom({ kind: 'sample' }, { imageSize: 8 })
    expect(totals.found).toBeGreaterThan(1600)
    expect(totals.used + totals.partial + totals.rejected).toBe(totals.found)
    expect(totals.rejected).toBeLessThan(10)
    const captions = (await dataset.items()).map(({ caption }) => caption)
    expect(captions).toContain('red apple')
    expect(captions.filter((caption) => caption === '' || caption !== caption.toLowerCase())).toEqual([])
    expect((await dataset.describe()).validationItems).toBe(Math.round(captions.length * 0.02))
  })
})

test('an edited caption of an unknown picture changes no other', async () => {
  const { dataset } = await importFrom(folderOf(named(await colors(2))))
  const before = await dataset.freeze()
  await sayCaption(dataset, '0'.repeat(20) as ItemId, 'nobody')
  expect(await dataset.freeze()).toBe(before)
})
