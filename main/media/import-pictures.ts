import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImportOptions, ImportSource, LedgerTotals } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { clipRules } from '#contracts/video.ts'
import { Allowances, type Allowance } from '../store/allowances.ts'
import { exists, sha256, type SafeFs } from '../store/safe-fs.ts'
import { rootAt } from '../store/source-record.ts'
import { DatasetFiles, type LedgerLine } from './dataset-files.ts'
import { inOrder } from './in-order.ts'
import { LedgerIndex, saidHash } from './ledger-index.ts'
import { PictureError, pictureFormat, pixelLimit, smallestSide, trainingPicture, type TrainingPicture } from './picture.ts'
import { quoted } from './sources/file-tree.ts'
import { openSource } from './sources/open-source.ts'
import type { Remark, Said, SourceItem, SourcePicture, SourceVideo } from './sources/source-item.ts'
import { twinSentence } from './sources/twin.ts'
import { ClipFiles } from './video/clip-files.ts'
import type { SceneCache } from './video/scene-cache.ts'
import { VideoIntake } from './video/video-intake.ts'

const shardBytes = 64 * 1024 * 1024
const shardItems = 1024
const flushEveryMs = 20_000 // no more than this is done twice after a crash
const idLength = 20
const ahead = 4 // pictures that are read and decoded while earlier ones wait for their turn

export interface ImportRun {
  datasetFolder: string
  /** Where copies of originals go, each under the sha256 of its bytes. */
  originalsFolder: string
  fs: SafeFs
  /** Whether a folder that a source names beyond itself may be read. */
  mayRead: (path: string) => boolean
  /** What videos need; without it they are refused, with the reason why. */
  videos?: { ffmpeg: () => Promise<string>; scenes: SceneCache }
  signal: AbortSignal
  /** Only these files, by their names in the ledger. */
  only?: ReadonlySet<string> | undefined
  onProgress: (progress: { done: number; total: number | null; file: string }) => void
}

/**
 * Brings the pictures of a source into a data set, and its videos as clips. Sources are only read. Every file found ends in the ledger; what is there already from an
 * earlier or a killed import of the same source is not done twice, so an import that is started again ends as one that was never disturbed.
 *
 * @throws StudioError bad-source when the source cannot be opened, or when there is no picture or video at all (what else there is stands in the
 *   ledger); disk-full (go on after space is made); cancelled.
 */
export async function importPictures(source: ImportSource, options: ImportOptions, run: ImportRun): Promise<LedgerTotals> {
  const { datasetFolder, originalsFolder, fs, mayRead, signal, only, onProgress } = run
  const from = await openSource(source, mayRead)
  try {
    const total = only?.size ?? (await from.count())
    const root = await rootAt(originalsFolder, from.root)
    const dataset = new DatasetFiles(datasetFolder, fs)
    await dataset.prepare()
    await agreeOnSize(dataset, options.imageSize)
    const index = await LedgerIndex.read(dataset.ledgerPath, root)
    const copies = source.kind !== 'sample' && source.originals === 'copy' ? { folder: originalsFolder, fs } : null

    const allowed = await new Allowances(datasetFolder, fs).of(root)

    if (copies) await sweepCopies(copies)

    const perShard = Math.max(1, Math.min(shardItems, Math.floor(shardBytes / (options.imageSize ** 2 * 3))))
    let shard = index.nextShard
    let lines: LedgerLine[] = []
    let records: Uint8Array[] = []
    let flushedAt = performance.now()
    const flush = async () => {
      if (records.length > 0) await dataset.appendShard(shard++, records)
      if (lines.length > 0) await dataset.appendLedger(lines)
      ;[lines, records, flushedAt] = [[], [], performance.now()]
    }

    const videos = new Videos(from.root, options, run)
    let [done, pictures] = [0, 0]
    const items = only ? named(from.items(), only) : from.items()
    for await (const read of inOrder(items, ahead, (item) => readItem(item, options, index, allowed))) {
      if (signal.aborted) await flush() // what was read stays read
      signal.throwIfAborted()
      onProgress({ done: done++, total, file: read.item.source })
      if (!('refused' in read.item)) pictures++
      if ('video' in read.item) {
        await flush() // a video takes long
        const file = read.item.source
        if (await videos.take(read.item, (doing) => onProgress({ done: done - 1, total, file: `${file}${doing}` }))) {
          index.leaveTo(file)
          continue
        }
        if ('refused' in read) read.refused = videos.refusal
      }
      const { line, rgb } = await settle(root, read, index, { copies, background: options.background })
      if (!line) continue
      if (line.item && rgb) {
        line.item.shard = shard
        line.item.slot = records.length
        records.push(rgb)
      }
      index.add(line)
      lines.push(line)
      if (records.length >= perShard || lines.length >= shardItems || performance.now() - flushedAt > flushEveryMs) await flush()
    }
    await flush()
    onProgress({ done, total: done, file: '' })
    if (pictures === 0 && !only) {
      const others = done === 0 ? '' : `, only ${done === 1 ? 'one other file' : `${done} other files`}`
      throw new StudioError(
        'bad-source',
        `There is no picture in "${from.root}" and no video${others}. Choose a folder with PNG, JPEG, WebP, GIF, TIFF or AVIF pictures, or with videos.`,
      )
    }
    return sum(index.totals(), await videos.end())
  } finally {
    await from.close()
  }
}

const noVideos: Remark = { reason: 'not-used', detail: 'This import reads pictures only.' }

/** The videos of an import: nothing of theirs is opened before the first one comes. */
class Videos {
  /** Why videos cannot be taken. */
  refusal = noVideos
  readonly #root: string
  readonly #options: ImportOptions
  readonly #run: ImportRun
  readonly #files: ClipFiles
  #intake: Promise<VideoIntake | null> | null = null

  constructor(root: string, options: ImportOptions, run: ImportRun) {
    this.#root = root
    this.#options = options
    this.#run = run
    this.#files = new ClipFiles(run.datasetFolder, run.fs)
  }

  /** Whether the manifest has the last word on the video now. */
  async take(video: SourceVideo, tell: (doing: string) => void): Promise<boolean> {
    const intake = await (this.#intake ??= this.#open())
    if (!intake) return (await this.#files.lines()).some(({ root, source }) => root === this.#root && source === video.source)
    const { imageSize, clips } = this.#options
    await intake.take(this.#root, video, { imageSize, rules: clips ?? clipRules.parse({}), trim: null }, tell)
    return true
  }

  async end(): Promise<LedgerTotals> {
    await (await this.#intake)?.close()
    return this.#files.totals(this.#root)
  }

  async #open(): Promise<VideoIntake | null> {
    const { videos, ...tools } = this.#run
    if (!videos) return null
    try {
      return await VideoIntake.open({ ...tools, scenes: videos.scenes, ffmpeg: await videos.ffmpeg() })
    } catch (error) {
      if (!(error instanceof StudioError) || error.code !== 'not-found') throw error
      this.refusal = { reason: 'not-used', detail: error.message } // there is no ffmpeg
      return null
    }
  }
}

function sum(a: LedgerTotals, b: LedgerTotals): LedgerTotals {
  return { found: a.found + b.found, used: a.used + b.used, partial: a.partial + b.partial, rejected: a.rejected + b.rejected }
}

async function* named(items: AsyncIterable<SourceItem>, names: ReadonlySet<string>): AsyncGenerator<SourceItem> {
  for await (const item of items) if (names.has(item.source)) yield item
}

async function agreeOnSize(dataset: DatasetFiles, imageSize: number): Promise<void> {
  const there = await dataset.imageSize()
  if (there === imageSize) return
  if (there !== null && (await dataset.items()).length > 0) {
    throw new StudioError(
      'invalid-request',
      `The data set holds pictures of ${there} x ${there} pixels, and this import asks for ${imageSize}. Import at ${there} or start a new project.`,
    )
  }
  if (there !== null) await dataset.crops.clear()
  await dataset.setImageSize(imageSize)
}

/** An item with what could be done before its turn: which pictures the data set has by then may still change. */
export type Read =
  | { item: SourceItem; refused: Remark; fileHash: string | null }
  | {
      item: SourcePicture
      refused: null
      fileHash: string
      bytes: Uint8Array
      accepted: Allowance | null
      make: () => Promise<TrainingPicture>
    }

/** Reads one item and makes its training picture, unless the data set has it already. */
export async function readItem(
  item: SourceItem,
  options: ImportOptions,
  index: LedgerIndex,
  allowed: ReadonlyMap<string, Allowance>,
): Promise<Read> {
  if ('refused' in item) return { item, refused: item.refused, fileHash: null }
  if ('video' in item) return { item, refused: noVideos, fileHash: null }
  let bytes: Uint8Array
  try {
    bytes = await item.read()
  } catch (error) {
    if (error instanceof PictureError) return { item, refused: { reason: error.reason, detail: error.message }, fileHash: null }
    throw error
  }
  const fileHash = sha256(bytes)
  let made: Promise<TrainingPicture> | null = null
  const accepted = allowed.get(item.source) ?? null
  const make = () => (made ??= trainingPicture(bytes, options, accepted))
  const isThere = index.before(item.source)?.fileHash === fileHash || index.known.has(idOf(fileHash))
  if (!isThere) await make().catch(() => undefined) // told in settle
  return { item, refused: null, fileHash, bytes, accepted, make }
}

/** What becomes of one item; no line when the ledger has it already. Without `copies` nothing is written. */
export async function settle(
  root: string,
  read: Read,
  index: LedgerIndex,
  { copies, background }: { copies: Copies | null; background: string },
): Promise<{ line: LedgerLine | null; rgb: Uint8Array | null }> {
  const { source } = read.item
  const before = index.before(source)
  const rejected = ({ reason, detail }: Remark, fileHash: string | null) => {
    const line: LedgerLine = { root, source, state: 'rejected', reason, detail, fileHash, item: null }
    return { line: before?.said === saidHash(line) && before.fileHash === fileHash ? null : line, rgb: null }
  }
  if (read.refused) return rejected(read.refused, read.fileHash)
  const { item: picture, fileHash, bytes, accepted, make } = read
  const id = idOf(fileHash)
  const twin = index.known.get(id)
  const isOrphan = before?.reason === 'duplicate' && twin === undefined // its twin has changed since
  // Accepted since it was rejected for its size, or given up since.
  const isReconsidered = before?.fileHash === fileHash && sizeReasons.has(before.reason) && (accepted !== null) !== (before.item !== null)
  if (before?.fileHash === fileHash && !isOrphan && !isReconsidered) {
    if (!before.item) return { line: null, rgb: null }
    const kept = before.item.copied ? { copied: before.item.copied } : await copy(copies, fileHash, bytes)
    const said = { ...remark(sizeNote(before.item) ?? picture.note ?? cropNote(before.item)), item: { ...saidOf(picture), ...kept } }
    if (saidHash(said) === before.said) return { line: null, rgb: null }
    const line = await index.line(before)
    const { width, height, shard, slot, pixelHash, background: behind } = line.item!
    const made = { id, width, height, shard, slot, pixelHash, ...(behind ? { background: behind } : {}) }
    return { line: { ...line, ...said, item: { ...made, ...said.item } }, rgb: null }
  }
  if (twin !== undefined && !(isReconsidered && before.item))
    return rejected({ reason: 'duplicate', detail: twinSentence('picture', quoted(twin), picture, source) }, fileHash)
  try {
    const { rgb, width, height } = await make()
    const behind = background.toLowerCase() === white ? {} : { background }
    const kept = { id, width, height, shard: 0, slot: 0, pixelHash: sha256(rgb), ...behind, ...(await copy(copies, fileHash, bytes)) }
    const item = { ...kept, ...saidOf(picture) }
    return { line: { root, source, ...remark(sizeNote(item) ?? picture.note ?? cropNote(item)), fileHash, item }, rgb }
  } catch (error) {
    if (error instanceof PictureError) return rejected({ reason: error.reason, detail: error.message }, fileHash)
    throw error
  }
}

/** The id of the item that a file with this content is. */
export function idOf(fileHash: string): ItemId {
  return fileHash.slice(0, idLength) as ItemId
}

function saidOf({ captions: [caption = '', ...captions], tags, facts }: Said) {
  return { caption, ...(captions.length > 0 ? { captions } : {}), ...(tags.length > 0 ? { tags: [...tags] } : {}), ...facts }
}

/** Where copies of originals go. */
interface Copies {
  folder: string
  fs: SafeFs
}

/** What a killed import left half written. */
async function sweepCopies({ folder, fs }: Copies): Promise<void> {
  await fs.folder(folder)
  for (const name of await readdir(folder)) await fs.sweep(join(folder, name))
}

/** Keeps the file itself, if that is wanted; it is there before any line speaks of it. */
async function copy(copies: Copies | null, fileHash: string, bytes: Uint8Array): Promise<{ copied?: string }> {
  const format = copies && pictureFormat(bytes.subarray(0, 32))
  if (!format) return {}
  const folder = join(copies.folder, fileHash.slice(0, 2))
  const path = join(folder, `${fileHash}.${format}`)
  if (!(await exists(path))) {
    await copies.fs.folder(folder)
    await copies.fs.writeFile(path, bytes)
  }
  return { copied: `.${format}` }
}

const white = '#ffffff'
const sizeReasons: ReadonlySet<LedgerLine['reason']> = new Set(['too-small', 'too-many-pixels'])

/** That a picture is here only because people accepted it. */
function sizeNote({ width, height }: { width: number; height: number }): Remark | null {
  if (Math.min(width, height) < smallestSide)
    return { reason: 'too-small', detail: `The picture has only ${width} x ${height} pixels and is enlarged, as was accepted.` }
  if (width * height > pixelLimit)
    return { reason: 'too-many-pixels', detail: `The picture has ${width} x ${height} pixels; a smaller copy is used, as was accepted.` }
  return null
}

const noticeableCrop = 0.005

/** What the square leaves out of a picture that is not one. */
function cropNote({ width, height }: { width: number; height: number }): Remark | null {
  const share = 1 - Math.min(width, height) / Math.max(width, height)
  if (share <= noticeableCrop) return null
  return { reason: 'cropped', detail: `${Math.round(share * 100)} % of ${width} x ${height} lies outside the square that is used.` }
}

/** A picture with a note is used, but not wholly or not as given. */
function remark(note: Remark | null): Pick<LedgerLine, 'state' | 'reason' | 'detail'> {
  return { state: note ? 'partial' : 'used', reason: note?.reason ?? null, detail: note?.detail ?? null }
}
