import { execFileSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { beforeAll, describe, expect, test } from 'vitest'
import { recognizeSource } from '#main/media/sources/open-source.ts'
import { plain } from '#tests/fixtures/pictures.ts'
import { pax, tar, zip } from '../support/archives.ts'
import { fileOf, folderOf, itemsOf, type Files } from '../support/source-items.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

let picture: Buffer = Buffer.alloc(0)
beforeAll(async () => {
  picture = await plain(16, 16)
})

const zipOf = (files: Files, method = 8) => zip(Object.entries(files).map(([name, bytes]) => ({ name, bytes, method })))
const tarOf = (files: Files) => tar(Object.entries(files).map(([name, bytes]) => ({ name, bytes })))
const sorted = <T extends { source: string }>(items: T[]): T[] => items.toSorted((a, b) => (a.source < b.source ? -1 : 1))
const recognized = async (path: string) => {
  const { container, layout } = await recognizeSource({ kind: 'folder', path })
  return [container, layout]
}

describe('the same files', () => {
  test.each([
    ['a zip', (files: Files) => fileOf('a.zip', zipOf(files))],
    ['a zip without compression', (files: Files) => fileOf('a.zip', zipOf(files, 0))],
    ['a tar', (files: Files) => fileOf('a.tar', tarOf(files))],
    ['a compressed tar', (files: Files) => fileOf('a.tar.gz', gzipSync(tarOf(files)))],
    [
      "the system's tar",
      (files: Files) => {
        const path = join(temporaryFolder(), 'a.tar')
        execFileSync('tar', ['-cf', path, '-C', folderOf(files), '.'])
        return path
      },
    ],
  ])('are the same source in a folder and in %s', async (_kind, pack) => {
    const long = `${'a long folder name/'.repeat(9)}red ball.png`
    const files = {
      'cat.png': picture,
      'cat.txt': 'a cat',
      'cat.json': '{"tags":"Black, fluffy","license":"CC0"}',
      'deep/er/0001.png': picture,
      'notes.md': 'hello',
      'orphan.txt': 'of nobody',
      [long]: picture,
      '红苹果.png': picture,
    }
    const expected = [
      { source: 'cat.png', captions: ['a cat'], tags: ['black', 'fluffy'], facts: { licence: 'CC0' }, bytes: picture.length },
      { source: 'deep/er/0001.png', captions: ['er'], bytes: picture.length },
      { source: long, captions: ['red ball'], bytes: picture.length },
      { source: 'notes.md', refused: 'not-a-picture', detail: 'The file is not a picture.' },
      {
        source: 'orphan.txt',
        refused: 'caption-without-picture',
        detail: 'There is no picture or video of that name beside this file. Rename one of the two.',
      },
      { source: '红苹果.png', captions: ['红苹果'], bytes: picture.length },
    ]
    const path = pack(files)
    expect(sorted(await itemsOf(folderOf(files), { layout: 'plain' }))).toEqual(sorted(expected))
    expect(sorted(await itemsOf(path, { layout: 'plain' }))).toEqual(sorted(expected))
  })
})

describe("Hugging Face's image folder", () => {
  const rows = [
    { file_name: 'a.png', text: 'from the list', url: 'https://example.org/a' },
    { file_name: 'sub/b.png', text: 'with, a comma and "quotes"', url: '' },
  ]
  const csv = `file_name,text,url\na.png,from the list,https://example.org/a\r\n"sub/b.png","with, a comma and ""quotes""",\n`
  const parquet = () => {
    const column = (name: 'file_name' | 'text' | 'url') => ({ name, data: rows.map((row) => row[name]), type: 'STRING' as const })
    return new Uint8Array(parquetWriteBuffer({ columnData: [column('file_name'), column('text'), column('url')] }))
  }

  test.each([
    ['metadata.jsonl', () => rows.map((row) => JSON.stringify(row)).join('\n')],
    ['metadata.csv', () => csv],
    ['metadata.parquet', parquet],
  ])('is read by its %s, in a folder and in a zip', async (name, list) => {
    const files = { 'a.png': picture, 'sub/b.png': picture, [name]: list() }
    const expected = [
      { source: 'a.png', captions: ['from the list'], facts: { origin: 'https://example.org/a' }, bytes: picture.length },
      { source: 'sub/b.png', captions: ['with, a comma and "quotes"'], bytes: picture.length },
    ]
    const folder = folderOf(files)
    expect(await recognized(folder)).toEqual(['folder', 'imagefolder'])
    expect(await itemsOf(folder)).toEqual(expected)
    expect(await itemsOf(fileOf('a.zip', zipOf(files)))).toEqual(expected)
  })

  test('has splits in folders of their names, with lists of their own, also inside one folder that holds it all', async () => {
    const files = {
      'mine/train/cat/1.png': picture,
      'mine/train/metadata.jsonl': '{"file_name":"cat/1.png","text":"one"}',
      'mine/validation/2.png': picture,
      'mine/test/3.png': picture,
    }
    expect((await itemsOf(fileOf('a.zip', zipOf(files)))).map(({ source, captions, facts }) => [source, captions, facts])).toEqual([
      ['mine/test/3.png', ['test'], { split: 'test' }],
      ['mine/train/cat/1.png', ['one'], { split: 'train' }],
      ['mine/validation/2.png', ['validation'], { split: 'validation' }],
    ])
  })

  test('tells each row that cannot be used, and each that names no picture', async () => {
    const lines = [
      '{"file_name":"a.png","text":"good","label":3}',
      'not json',
      '["a list"]',
      '{"text":"of no file"}',
      '{"file_name":"../../etc/passwd","text":"x"}',
      '',
      '{"file_name":"gone.png"}',
    ]
    const items = await itemsOf(folderOf({ 'a.png': picture, 'metadata.jsonl': lines.join('\n') }))
    expect(items.map(({ source, refused = 'used', detail }) => [source, refused, detail])).toEqual([
      ['a.png', 'used', undefined],
      ['metadata.jsonl, line 2', 'metadata-broken', 'The row is not used: it is not JSON. Correct or remove it.'],
      ['metadata.jsonl, line 3', 'metadata-broken', 'The row is not used: it is not a record. Correct or remove it.'],
      ['metadata.jsonl, line 4', 'metadata-broken', 'The row is not used: it names no file in "file_name". Correct or remove it.'],
      ['metadata.jsonl, columns', 'not-used', 'The columns "label" are not used.'],
      ['metadata.jsonl, line 5', 'file-missing', 'It names "../../etc/passwd", and there is no such picture in the source.'],
      ['metadata.jsonl, line 7', 'file-missing', 'It names "gone.png", and there is no such picture in the source.'],
    ])
  })

  test.each([
    ['metadata.csv', 'file_name,text\n"a.png,never closed', 'metadata.csv, line 2', /a quote is not closed/],
    ['metadata.csv', 'file_name,text\na.png\n', 'metadata.csv, line 2', /it has 1 fields and the first line 2/],
    ['metadata.csv', 'name,text\na.png,x\n', 'metadata.csv', /no column "file_name"/],
    ['metadata.csv', Buffer.from('file_name,text\na.png,caf\xe9', 'latin1'), 'metadata.csv', /not UTF-8/],
    ['metadata.parquet', 'PAR1 and then nothing PAR1', 'metadata.parquet', /damaged/],
    ['metadata.parquet', '', 'metadata.parquet', /damaged/],
  ])('tells that %s is broken: %j', async (name, list, source, detail) => {
    const broken = (await itemsOf(folderOf({ 'a.png': picture, [name]: list }))).filter(({ refused }) => refused)
    expect(broken).toEqual([{ source, refused: 'metadata-broken', detail: expect.stringMatching(detail) as string }])
  })
})

describe('WebDataset', () => {
  const sample = (key: string) => ({
    [`${key}.jpg`]: picture,
    [`${key}.txt`]: `caption ${key}`,
    [`${key}.json`]: '{"url":"https://x.y","caption":"other"}',
  })

  test('samples are the files of a key, in shards of a folder and in one tar', async () => {
    const shard = tarOf({ ...sample('000'), ...sample('001') })
    const one = (source: string, key: string, facts: object) => ({
      source,
      captions: [`caption ${key}`, 'other'],
      facts: { ...facts, origin: 'https://x.y' },
      bytes: picture.length,
    })
    const folder = folderOf({ 'train-00000.tar': shard, 'val-00000.tar': tarOf(sample('9')), 'train-00000.parquet': 'PAR1' })
    expect(await recognized(folder)).toEqual(['folder', 'webdataset'])
    expect((await itemsOf(folder)).filter(({ refused }) => !refused)).toEqual([
      one('train-00000.tar/000.jpg', '000', { split: 'train' }),
      one('train-00000.tar/001.jpg', '001', { split: 'train' }),
      one('val-00000.tar/9.jpg', '9', { split: 'validation' }),
    ])
    expect((await itemsOf(fileOf('test-1.tar', shard)))[0]).toEqual(one('000.jpg', '000', { split: 'test' }))
    expect(await recognized(fileOf('a.tar', shard))).toEqual(['tar', 'webdataset'])
    expect(await itemsOf(fileOf('a.tar', shard))).toEqual([one('000.jpg', '000', {}), one('001.jpg', '001', {})])
  })

  test("keys of ZigMa's own shards are understood; features are told to be left out", async () => {
    const files = {
      '0.image.png': picture,
      '0.img_feature256.npy': 'x',
      '0.caption_feature.npy': 'x',
      '0.caption.json': '["a red cat","a cat"]',
      '1.image.png': picture,
      '1.img_feature256.npy': 'x',
      '1.caption.json': '"a dog"',
      '2.image.jpg': picture,
      '2.mask.png': picture,
      '3.caption.json': '{"error_message":"404"}',
    }
    const items = await itemsOf(fileOf('a.tar', tarOf(files)))
    expect(items.map(({ source, captions, refused, detail }) => [source, captions ?? refused, detail])).toEqual([
      ['0.image.png', ['a red cat', 'a cat'], undefined],
      ['1.image.png', ['a dog'], undefined],
      ['2.image.jpg', [''], undefined],
      ['2.mask.png', 'not-used', 'The sample has two pictures or videos; "2.image.jpg" is used.'],
      ['3', 'file-missing', 'The sample has no picture. Its maker noted: "404".'],
      ['*.img_feature256.npy', 'not-used', '2 files ".img_feature256.npy" not used; the studio makes its own features from the pictures.'],
      ['*.caption_feature.npy', 'not-used', '1 file ".caption_feature.npy" not used; the studio makes its own features from the pictures.'],
    ])
  })

  test('a shard that is no tar takes nothing from the others', async () => {
    const folder = folderOf({ '0.tar': 'rubbish that is no tar'.repeat(50), '1.tar': tarOf(sample('1')) })
    expect((await itemsOf(folder)).map(({ source, refused = 'used' }) => [source, refused])).toEqual([
      ['0.tar', 'corrupt'],
      ['1.tar/1.jpg', 'used'],
    ])
  })
})

describe('kohya', () => {
  test('folders say how often their pictures are shown, and what of', async () => {
    const files = {
      '30_ginger cat/1.png': picture,
      '30_ginger cat/2.png': picture,
      '30_ginger cat/2.caption': 'sleeping',
      '5_dog/1.png': picture,
    }
    const folder = folderOf(files)
    expect(await recognized(folder)).toEqual(['folder', 'kohya'])
    const cat = { repeats: 30, concept: 'ginger cat' }
    expect((await itemsOf(folder)).map(({ captions, facts }) => [captions, facts])).toEqual([
      [['ginger cat'], cat],
      [['sleeping'], cat],
      [['dog'], { repeats: 5, concept: 'dog' }],
    ])
    expect((await itemsOf(folder, { layout: 'plain' }))[0]).toEqual({
      source: '30_ginger cat/1.png',
      captions: ['ginger cat'],
      bytes: picture.length,
    })
  })

  test('TOML gives repeats, class and what goes around captions; each setting that the studio does not have is told', async () => {
    const toml = `
[general]
enable_bucket = true
caption_extension = ".txt"
[[datasets]]
resolution = 512
  [[datasets.subsets]]
  image_dir = "5_cats"
  num_repeats = 10
  class_tokens = "ginger cat"
  caption_prefix = "photo of"
  [[datasets.subsets]]
  image_dir = "reg"
  is_reg = true
  [[datasets.subsets]]
  image_dir = "gone"
  [[datasets.subsets]]
  num_repeats = -1
`
    const folder = folderOf({
      'set.toml': toml,
      '5_cats/1.png': picture,
      '5_cats/2.png': picture,
      '5_cats/2.txt': 'sleeping',
      '5_cats/in/3.png': picture,
    })
    const items = await itemsOf(join(folder, 'set.toml'))
    expect(items.map(({ source, captions, facts, refused }) => [source, captions ?? refused, facts])).toEqual([
      ['(general.enable_bucket)', 'not-used', undefined],
      ['(datasets[0].resolution)', 'not-used', undefined],
      ['(datasets[0].subsets[1])', 'not-used', undefined],
      ['(datasets[0].subsets[3])', 'metadata-broken', undefined],
      ['5_cats/', 'not-used', undefined],
      ['5_cats/1.png', ['photo of ginger cat'], { repeats: 10, concept: 'ginger cat' }],
      ['5_cats/2.png', ['photo of sleeping'], { repeats: 10, concept: 'ginger cat' }],
      ['5_cats/in', 'not-used', undefined],
      ['gone/', 'file-missing', undefined],
    ])
    expect(items[0]!.detail).toBe('The setting "enable_bucket" (true) is not used: sizes and buckets are chosen in the studio.')
    expect(items[4]!.detail).toBe("The folder's name says 5 repeats and the TOML file 10; the file counts, as with kohya.")
  })

  test('TOML of diffusion-pipe is read too', async () => {
    const toml = `resolutions = [512]\nframe_buckets = [1]\n[[directory]]\npath = 'pics'\nnum_repeats = 3\nmask_path = 'masks'\n`
    const items = await itemsOf(join(folderOf({ 'set.toml': toml, 'pics/big cat.png': picture }), 'set.toml'))
    expect(items.map(({ source, captions, facts, refused }) => [source, captions ?? refused, facts])).toEqual([
      ['(resolutions)', 'not-used', undefined],
      ['(frame_buckets)', 'not-used', undefined],
      ['(directory[0].mask_path)', 'not-used', undefined],
      ['pics/big cat.png', ['big cat'], { repeats: 3 }],
    ])
  })

  test('TOML that names a folder elsewhere is heeded only where the studio may read', async () => {
    const elsewhere = folderOf({ 'a.png': picture })
    const folder = folderOf({ 'set.toml': `[[directory]]\npath = ${JSON.stringify(elsewhere)}\n[[directory]]\npath = "link"` })
    symlinkSync(elsewhere, join(folder, 'link'))
    const reasons = async (mayRead: () => boolean) =>
      (await itemsOf(join(folder, 'set.toml'), { mayRead })).map(({ refused = 'used' }) => refused)
    expect(await reasons(() => false)).toEqual(['link-outside', 'link-outside'])
    expect(await reasons(() => true)).toEqual(['used', 'used'])
  })
})

describe('a tar', () => {
  test('may have names in pax headers, of GNU, and with "./" in front', async () => {
    const long = `${'x'.repeat(150)}.png`
    const files = [
      { name: 'pax', type: 'x', bytes: pax('path', 'ümlaut.png') },
      { name: 'short', bytes: picture },
      { name: '././@LongLink', type: 'L', bytes: `${long}\0` },
      { name: 'short', bytes: picture },
      { name: './plain.png', bytes: picture },
    ]
    expect((await itemsOf(fileOf('a.tar', tar(files)), { layout: 'plain' })).map(({ source }) => source)).toEqual([
      'ümlaut.png',
      long,
      'plain.png',
    ])
  })

  test('that is cut short gives what came before, and says so', async () => {
    const whole = tarOf({ 'a.png': picture, 'b.png': picture })
    const items = await itemsOf(fileOf('a.tar', whole.subarray(0, 512 + Math.ceil(picture.length / 512) * 512 + 200)), { layout: 'plain' })
    expect(items.map(({ source, refused = 'used' }) => [source, refused])).toEqual([
      ['a.png', 'used'],
      ['(end of the archive)', 'corrupt'],
    ])
  })
})

test('a picture on its own is a source, with the caption file beside it where that may be read', async () => {
  const folder = folderOf({ 'red cat.png': picture, 'red cat.txt': 'Tom', 'other.png': picture })
  const path = join(folder, 'red cat.png')
  expect(await recognized(path)).toEqual(['picture', 'plain'])
  expect(await itemsOf(path)).toEqual([{ source: 'red cat.png', captions: ['red cat'], bytes: picture.length }])
  expect((await itemsOf(path, { mayRead: () => true }))[0]?.captions).toEqual(['Tom'])
})
