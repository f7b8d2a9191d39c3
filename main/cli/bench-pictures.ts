import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
// eslint-disable-next-line no-restricted-imports -- pictures to measure with, deleted again
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { StudioError } from '#contracts/errors.ts'
import { itemId } from '#contracts/project.ts'
import { epochsOf } from '#engine/bench.ts'
import { median } from '#engine/median.ts'
import { DatasetFiles, openSnapshot, type LedgerLine } from '../media/dataset-files.ts'
import { importPictures, type ImportRun } from '../media/import-pictures.ts'
import { isCode, SafeFs, sha256 } from '../store/safe-fs.ts'
import { timed } from './stopwatch.ts'

const run = promisify(execFile)
const imageSize = 256
const signal = new AbortController().signal

export interface ImportFigures {
  /** Of which size and kind. */
  pictures: string
  count: number
  imageSize: number
  rounds: number
  /** Medians: vipsthumbnail making the same square pictures of the same files; the import of them. */
  vipsthumbnailSeconds: number
  importSeconds: number
  /** vipsthumbnail's time over the import's, of each round, the median: 1 is as fast. */
  ratio: number
  picturesPerSecond: number
}

export interface LoaderFigures {
  items: number
  imageSize: number
  batchSize: number
  rounds: number
  /** Medians: the shards read from end to end; every item once, in the trainer's shuffled batches. */
  sequentialSeconds: number
  loaderSeconds: number
  /** The sequential time over the loader's, of each round, the median: 1 is as fast. */
  ratio: number
  gigabytesPerSecond: number
}

/**
 * How fast pictures become training data beside vipsthumbnail, which decodes, crops and scales them and writes a JPEG each, in turns in one run;
 * the import also hashes every file and its pixels, syncs the shards to the disk and writes the ledger.
 */
export async function measurePictures(rounds: number): Promise<ImportFigures> {
  const [width, height, count] = [1600, 1200, 240]
  return inFolder(async (folder) => {
    const source = join(folder, 'source')
    await mkdir(source)
    const names = await photographs(source, { width, height, count })
    const thumbnails = join(folder, 'thumbnails')
    const alone = async () => {
      await rm(thumbnails, { recursive: true, force: true })
      await mkdir(thumbnails)
      const square = ['--size', `${imageSize}x${imageSize}`, '--smartcrop', 'centre', '-o', join(thumbnails, '%s.jpg')]
      return timed(() => vipsthumbnail([...names.map((name) => join(source, name)), ...square]))
    }
    const times: { alone: number[]; imported: number[] } = { alone: [], imported: [] }
    const dataset = join(folder, 'dataset')
    for (let round = 0; round <= rounds; round++) {
      await rm(dataset, { recursive: true, force: true })
      const [first, second] = [await alone(), await timed(() => importFrom(source, dataset, imageSize))]
      if (round === 0) continue // the first one warms the disk's cache
      times.alone.push(first)
      times.imported.push(second)
    }
    const [vipsthumbnailSeconds, importSeconds] = [median(times.alone), median(times.imported)]
    return {
      ...{ pictures: `${width} x ${height}, JPEG`, count, imageSize, rounds, vipsthumbnailSeconds, importSeconds },
      ratio: median(times.alone.map((seconds, i) => seconds / times.imported[i]!)),
      picturesPerSecond: count / importSeconds,
    }
  })
}

/** How fast the trainer's loader reads pictures in its shuffled order, beside reading the same shards from end to end; both from the disk's cache. */
export async function measureLoader(rounds: number): Promise<LoaderFigures> {
  const [items, batchSize, perShard] = [1024, 16, 256]
  return inFolder(async (folder) => {
    const files = new DatasetFiles(folder, new SafeFs())
    await files.prepare()
    await files.setImageSize(imageSize)
    for (let shard = 0; shard * perShard < items; shard++) {
      const records = Array.from({ length: perShard }, () => new Uint8Array(randomBytes(imageSize ** 2 * 3)))
      await files.appendShard(shard, records)
      await files.appendLedger(records.map((rgb, slot) => madeLine(rgb, shard, slot)))
    }
    using dataset = await openSnapshot(folder, await files.freeze())
    const block = new Uint8Array(1024 * 1024)
    const sequential = () => {
      for (let shard = 0; shard * perShard < items; shard++) {
        const file = openSync(files.shardPath(shard), 'r')
        while (readSync(file, block, 0, block.length, null) > 0);
        closeSync(file)
      }
    }
    const load = epochsOf(dataset, batchSize)
    const times: { sequential: number[]; loader: number[] } = { sequential: [], loader: [] }
    for (let round = -2; round < rounds; round++) {
      const [first, second] = [await timed(sequential), await timed(load)]
      if (round < 0) continue
      times.sequential.push(first)
      times.loader.push(second)
    }
    const loaderSeconds = median(times.loader)
    return {
      ...{ items: dataset.size, imageSize, batchSize, rounds, sequentialSeconds: median(times.sequential), loaderSeconds },
      ratio: median(times.sequential.map((seconds, i) => seconds / times.loader[i]!)),
      gigabytesPerSecond: (dataset.size * imageSize * imageSize * 3) / loaderSeconds / 1e9,
    }
  })
}

function madeLine(rgb: Uint8Array, shard: number, slot: number): LedgerLine {
  const pixelHash = sha256(rgb)
  const place = { id: itemId.parse(pixelHash.slice(0, 20)), caption: '', width: imageSize, height: imageSize, shard, slot, pixelHash }
  return { root: 'bench', source: `${shard}/${slot}.png`, state: 'used', reason: null, detail: null, fileHash: pixelHash, item: place }
}

export interface MemoryFigures {
  /** Pictures of an import, the most memory that this process held during it, and what was in use at its last picture, garbage put aside. */
  imports: { pictures: number; peakBytes: number; usedBytes: number; picturesPerSecond: number }[]
  /** The last over the first, of the peaks and of what was in use. */
  ratio: number
  usedRatio: number
  /** What each further picture took, from the import before the last to the last. */
  bytesPerPicture: number
}

/** The memory of imports of ever more pictures, in one process, one after the other: small ones, so that what is kept of each counts. */
export async function measureMemory(counts: readonly number[]): Promise<MemoryFigures> {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  return inFolder(async (folder) => {
    const imports: MemoryFigures['imports'] = []
    for (const pictures of counts) {
      const source = join(folder, 'source')
      await smallPictures(source, pictures)
      let [peakBytes, usedBytes] = [0, 0]
      const look = ({ done, total }: { done: number; total: number | null }) => {
        peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
        if (usedBytes > 0 || done + 1 !== total) return
        collectGarbage()
        const { heapUsed, external } = process.memoryUsage()
        usedBytes = heapUsed + external
      }
      const seconds = await timed(() => importFrom(source, join(folder, 'dataset'), 32, look))
      imports.push({ pictures, peakBytes, usedBytes, picturesPerSecond: pictures / seconds })
      for (const name of ['source', 'dataset']) await rm(join(folder, name), { recursive: true })
    }
    const [before, last] = imports.slice(-2) as [MemoryFigures['imports'][0], MemoryFigures['imports'][0]]
    const bytesPerPicture = (last.peakBytes - before.peakBytes) / (last.pictures - before.pictures)
    const [ratio, usedRatio] = [last.peakBytes / imports[0]!.peakBytes, last.usedBytes / imports[0]!.usedBytes]
    return { imports, ratio, usedRatio, bytesPerPicture }
  })
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'zigma-bench-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function importFrom(
  path: string,
  datasetFolder: string,
  size: number,
  onProgress: ImportRun['onProgress'] = () => undefined,
): Promise<void> {
  await importPictures(
    { kind: 'folder', path },
    { imageSize: size, background: '#ffffff' },
    { datasetFolder, originalsFolder: join(datasetFolder, 'originals'), fs: new SafeFs(), mayRead: () => true, signal, onProgress },
  )
}

async function vipsthumbnail(options: readonly string[]): Promise<void> {
  try {
    await run('vipsthumbnail', options)
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
    throw new StudioError(
      'not-found',
      'The measurement needs vipsthumbnail to compare with. Install it from your system (Debian: apt-get install libvips-tools).',
      { cause: error },
    )
  }
}

/** JPEG files of waves and grain: as detailed as photographs are, each another. */
async function photographs(folder: string, { width, height, count }: { width: number; height: number; count: number }): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `${String(i).padStart(4, '0')}.jpg`)
  const raw = { width, height, channels: 3 } as const
  for (const [i, name] of names.entries()) {
    const pixels = new Uint8Array(width * height * 3)
    let grain = i + 1
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        grain = (Math.imul(grain, 1664525) + 1013904223) >>> 0
        const wave = 128 + 60 * Math.sin((x * (i + 3)) / 700) + 50 * Math.sin((y * (i + 5) + x) / 400) + (grain >>> 28)
        pixels[at++] = wave
        pixels[at++] = 255 - wave
        pixels[at++] = (x + y + i) & 255
      }
    }
    // eslint-disable-next-line no-restricted-syntax -- as above
    await sharp(pixels, { raw }).jpeg({ quality: 88 }).toFile(join(folder, name))
  }
  return names
}

/** PNG files of one picture, each another file by a number in its text. */
async function smallPictures(folder: string, count: number): Promise<void> {
  await mkdir(folder)
  const png = await sharp({ create: { width: 40, height: 40, channels: 3, background: '#357' } })
    .png()
    .toBuffer()
  const end = png.length - 12 // the last chunk
  for (let i = 0; i < count; i++) {
    const body = Buffer.from(`tEXtnumber\0${createHash('sha256').update(String(i)).digest('hex')}`, 'latin1')
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(body.length - 4)
    crc.writeUInt32BE(crc32(body))
    if (i % 1000 === 0) await mkdir(join(folder, String(i / 1000)))
    await writeFile(
      join(folder, String(Math.floor(i / 1000)), `${i}.png`),
      Buffer.concat([png.subarray(0, end), length, body, crc, png.subarray(end)]),
    )
  }
}
