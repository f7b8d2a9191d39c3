import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { crop, marks, type Marks } from '#contracts/curation.ts'
import {
  clipFacts,
  datasetItem,
  datasetSplit,
  importOptions,
  ledgerReason,
  ledgerState,
  repeats,
  sourceFacts,
  type ClipFacts,
  type DatasetItem,
  type DatasetSummary,
  type LedgerEntry,
  type LedgerTotals,
} from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import { itemId, type ItemId } from '#contracts/project.ts'
import type { DatasetReader } from '#engine/ports.ts'
import { CropLog } from '../store/crop-log.ts'
import { CurationJournal } from '../store/curation-journal.ts'
import { jsonLines, readJsonLines } from '../store/json-lines.ts'
import { isCode, sha256, type SafeFs } from '../store/safe-fs.ts'
import { sourceRoots } from './source-roots.ts'
import { clipFactsOf, ClipFiles, foundOf, type VideoLine } from './video/clip-files.ts'

/** Where an item's pixels lie: record `slot` of `shards/<shard>.bin`. */
const place = z.object({ shard: z.number().int().nonnegative(), slot: z.number().int().nonnegative() })

/** One line of ledger.jsonl: what became of one file of a source. The ledger is the truth; all else of a data set follows from it. */
export const ledgerLine = z.object({
  /** Which source the file belongs to: a folder's path, or "sample". */
  root: z.string(),
  source: z.string(),
  state: ledgerState,
  reason: ledgerReason.nullable(),
  detail: z.string().nullable(),
  /** sha256 of the file, null where it could not be read. */
  fileHash: z.string().nullable(),
  item: datasetItem
    .pick({ id: true, caption: true, width: true, height: true })
    .extend(place.shape)
    .extend({ pixelHash: z.string() })
    // What stands behind a transparent picture; white where it is not said.
    .extend({ background: importOptions.shape.background.removeDefault().optional() })
    // What a source says beyond a caption; sources that say nothing leave it out.
    .extend({ captions: z.array(z.string()), tags: z.array(z.string()) })
    .partial({ captions: true, tags: true })
    .extend(sourceFacts.shape)
    // The ending of the copy that the project keeps of the file, under its hash.
    .extend({
      copied: z
        .string()
        .regex(/^\.[a-z]+$/)
        .optional(),
    })
    .nullable(),
})
export type LedgerLine = z.infer<typeof ledgerLine>

/** What of an item a training may depend on. Snapshots of the first studios know captions only, and showed every item once. */
export const frozenItem = z
  .object({
    id: itemId,
    caption: z.string(),
    captions: z.array(z.string()).default([]),
    tags: z.array(z.string()).default([]),
    split: datasetSplit,
    crop: crop.default({ kind: 'center' }),
    /** How often an epoch shows it while it is in training. */
    repeats: repeats.default(1),
    pixelHash: z.string(),
    /** Null for a picture. The shard of a clip is one of its own kind, and its frames lie one behind the other from the slot on. */
    clip: clipFacts.extend({ shard: z.string(), imageSize: z.number().int() }).nullable().default(null),
  })
  .extend(place.shape)
export type FrozenItem = z.infer<typeof frozenItem>

/** An item as the files have it: what the import found and what was said since. */
type FileItem = Omit<DatasetItem, 'clip'> & FrozenItem & Pick<Marks, 'rating' | 'pick'>

const settingsFile = z.object({ schema: z.literal(1), imageSize: z.number().int() })
/** A line of captions.jsonl, in which the first studios kept edited captions. */
const oldCaption = marks.pick({ caption: true }).extend({ id: itemId })

/** A data set's folder: ledger, shards of pixels, edited captions and frozen snapshots. */
export class DatasetFiles {
  readonly folder: string
  readonly journal: CurationJournal
  /** The pixels of items that are cropped otherwise than they were imported. */
  readonly crops: CropLog
  readonly clips: ClipFiles
  readonly #fs: SafeFs
  /** What the settings said when they were last read, and which file that was. */
  #settings: { file: string; imageSize: number | null } | null = null

  constructor(folder: string, fs: SafeFs) {
    this.folder = folder
    this.journal = new CurationJournal(folder, fs)
    this.crops = new CropLog(folder, fs)
    this.clips = new ClipFiles(folder, fs)
    this.#fs = fs
  }

  shardPath(shard: number): string {
    return shardPath(this.folder, shard)
  }

  get ledgerPath(): string {
    return join(this.folder, 'ledger.jsonl')
  }

  async prepare(): Promise<void> {
    for (const name of ['shards', 'snapshots']) await this.#fs.folder(join(this.folder, name))
    await this.#fs.sweep(join(this.folder, 'shards'))
  }

  /** Edge of the training pictures; null while nothing is imported. Each picture of a page asks for it, so only a file that is another is read. */
  async imageSize(): Promise<number | null> {
    const now = statSync(settingsPath(this.folder), { throwIfNoEntry: false })
    const file = now ? `${now.ino} ${now.mtimeMs} ${now.size}` : ''
    if (this.#settings?.file !== file) this.#settings = { file, imageSize: await readImageSize(this.folder) }
    return this.#settings.imageSize
  }

  async setImageSize(imageSize: number): Promise<void> {
    await this.#fs.writeFile(settingsPath(this.folder), `${JSON.stringify({ schema: 1, imageSize })}\n`)
  }

  /** The last word on every file, in the order in which files were first seen. All of it: pages of it come from the index. */
  async ledger(): Promise<readonly LedgerLine[]> {
    const lines = await readJsonLines(this.ledgerPath, ledgerLine)
    return [...new Map(lines.map((line) => [keyOf(line), line])).values()]
  }

  appendLedger(lines: readonly LedgerLine[]): Promise<void> {
    return this.#fs.append(this.ledgerPath, jsonLines(lines))
  }

  /** Pixels that were made anew, from record `slot` on in a shard that grows; nothing speaks of them before they are in `crops`. */
  async writeCropped(shard: number, slot: number, records: readonly Uint8Array[]): Promise<void> {
    await this.#fs.folder(join(this.folder, 'shards'))
    await this.#fs.writeAt(this.shardPath(shard), slot * records[0]!.length, joined(records))
  }

  async appendShard(shard: number, records: readonly Uint8Array[]): Promise<void> {
    await this.#fs.writeFile(this.shardPath(shard), joined(records))
  }

  /** What was said of items before there was a journal. */
  async oldMarks(): Promise<Map<ItemId, Partial<Marks>>> {
    return new Map((await readJsonLines(join(this.folder, 'captions.jsonl'), oldCaption)).map(({ id, caption }) => [id, { caption }]))
  }

  /** Items as edited, by id, from the files alone; what is shown comes from the index. */
  async items(): Promise<readonly FileItem[]> {
    const said = await this.journal.fold(await this.oldMarks())
    const found = [...(await this.#pictures()), ...(await this.#clips())]
    const used = [...new Map(found.map((item) => [item.id, item])).values()]
    const held = new Set([...heldBack(used.filter(({ clip }) => !clip)), ...heldBack(used.filter(({ clip }) => clip))])
    const cropped = await this.crops.places()
    return used
      .map(({ split, rank: _, ...item }): FileItem => ({
        ...item,
        ...foundWords(item),
        ...cropped.get(item.id),
        rating: 0,
        pick: 'none',
        crop: { kind: 'center' },
        repeats: item.repeats ?? 1,
        split: split ?? (held.has(item.id) ? 'validation' : 'train'),
        ...said.get(item.id),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  async #pictures() {
    const lines = await this.ledger()
    return lines.flatMap(({ item, source, state }) => (item ? [{ ...item, source, state, clip: null, rank: splitRank(item.id) }] : []))
  }

  async #clips() {
    return (await this.clips.lines()).flatMap((line) =>
      line.clips.map((clip) => {
        const { id, pixelHash, shard, slot } = clip
        const { source, state, made } = line
        const { width = made.imageSize, height = made.imageSize } = made
        const place = { shard: 0, slot, clip: { ...clipFactsOf(line, clip), shard, imageSize: made.imageSize } }
        return { id, pixelHash, source, state, width, height, ...place, rank: splitRank(videoOf(line)), ...foundOf(line, clip) }
      }),
    )
  }

  /** What became of every file, of pictures and videos alike, and how many items it gave. */
  async entries(): Promise<(LedgerEntry & { root: string; fileHash: string | null; items: number; copied: boolean })[]> {
    const videos = await this.clips.lines()
    const told = new Set(videos.map(keyOf))
    const others = (await this.ledger()).filter((line) => !told.has(keyOf(line)))
    return [
      ...others.map(({ item, ...line }) => ({ ...line, itemId: item?.id ?? null, items: item ? 1 : 0, copied: Boolean(item?.copied) })),
      ...videos.map(({ root, source, state, reason, detail, fileHash, clips }) => ({
        ...{ root, source, state, reason, detail, fileHash },
        ...{ itemId: clips[0]?.id ?? null, items: clips.length, copied: false },
      })),
    ]
  }

  async describe(): Promise<DatasetSummary> {
    const items = await this.items()
    const entries = await this.entries()
    return {
      items: items.length,
      clips: items.filter(({ clip }) => clip).length,
      validationItems: items.filter(({ split }) => split === 'validation').length,
      captioned: items.filter(({ caption }) => caption !== '').length,
      imageSize: await this.imageSize(),
      totals: totalsOf(entries),
      roots: await sourceRoots(entries),
      snapshot: snapshotHash(items),
    }
  }

  /** Freezes the data set as it is now; the same content gives the same hash, whatever the order of import. */
  async freeze(): Promise<string> {
    const all = await this.items()
    if (all.length === 0) throw new StudioError('invalid-request', 'The data set is empty. Import pictures first.')
    const pictures = all.filter(({ clip }) => !clip)
    if (pictures.length === 0) {
      throw new StudioError(
        'invalid-request',
        `The data set holds ${all.length} clips and no picture, and no model here trains on clips yet. Import pictures as well.`,
      )
    }
    const items = all.filter(isTrained)
    if (!items.some(({ split, clip }) => split === 'train' && !clip)) {
      throw new StudioError(
        'invalid-request',
        `None of the ${pictures.length} pictures of the data set is left for training: all are rejected or held back. Take some of them back, or import others.`,
      )
    }
    const shown = items.reduce((sum, { split, clip, repeats: times }) => (split === 'train' && !clip ? sum + times : sum), 0)
    if (shown > Math.max(shownLimit, items.length)) {
      throw new StudioError(
        'invalid-request',
        `An epoch would show ${shown} pictures, more than ${shownLimit}: ${items.length} items are repeated too often for one shuffled order. Divide their repeats by ${Math.ceil(shown / shownLimit)} or more.`,
      )
    }
    const hash = snapshotHash(items)!
    await mkdir(join(this.folder, 'snapshots'), { recursive: true })
    await this.#fs.writeFile(join(this.folder, 'snapshots', `${hash}.jsonl`), jsonLines(items.map((item) => frozenItem.parse(item))))
    return hash
  }
}

function joined(records: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(records.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const record of records) {
    bytes.set(record, at)
    at += record.length
  }
  return bytes
}

function keyOf({ root, source }: { root: string; source: string }): string {
  return `${root}\n${source}`
}

export function totalsOf(ledger: readonly Pick<LedgerEntry, 'state'>[]): LedgerTotals {
  const count = (state: LedgerEntry['state']) => ledger.filter((line) => line.state === state).length
  return { found: ledger.length, used: count('used'), partial: count('partial'), rejected: count('rejected') }
}

/** An epoch is shuffled as a whole, in memory: 8 bytes a showing. */
const shownLimit = 2 ** 24

const validationShare = 0.02
const smallShare = 0.08
const validationEnough = 16

/** What a source says of an item, within what an item may have: a list of words in one tag is several, what is too long is cut. */
export function foundWords({
  caption,
  captions = [],
  tags = [],
}: Pick<NonNullable<LedgerLine['item']>, 'caption' | 'captions' | 'tags'>): Pick<Marks, 'caption' | 'captions' | 'tags'> {
  const cut = (text: string) => text.slice(0, marks.shape.caption.maxLength!)
  const words = tags
    .flatMap((text) => text.split(','))
    .map((text) =>
      text
        .normalize('NFC')
        .replace(/[\s\p{Cc}]+/gu, ' ')
        .trim()
        .toLowerCase()
        .slice(0, 100)
        .trim(),
    )
  return {
    caption: cut(caption),
    captions: captions
      .filter((text) => text.trim() !== '')
      .slice(0, 20)
      .map(cut),
    tags: [...new Set(words)].filter((word) => word !== '').slice(0, 200),
  }
}

/** How many of some items are held back: 2 %, in small sets up to 16 or 8 %. */
export function validationCount(items: number): number {
  return Math.round(Math.max(items * validationShare, Math.min(validationEnough, items * smallShare)))
}

/** The order in which items are held back. Ids are content hashes, so which ones depends on the content alone. */
export function splitRank(id: ItemId): string {
  return sha256(`split ${id}`)
}

/** What stands for the id where clips are held back: those of one video look alike, and so stay on the same side. */
export function videoOf({ fileHash, source }: Pick<VideoLine, 'fileHash' | 'source'>): ItemId {
  return (fileHash ?? source) as ItemId
}

/**
 * The items held back to see how well a model does on what it has not seen, unless people say otherwise: so many with the lowest ranks; of some
 * that share a rank all or none. Pictures and clips each for themselves.
 */
function heldBack(items: readonly { id: ItemId; rank: string }[]): ItemId[] {
  const sorted = items.toSorted((a, b) => (a.rank < b.rank ? -1 : 1))
  const end = sorted[validationCount(items.length)]?.rank
  return end === undefined ? [] : sorted.filter(({ rank }) => rank < end).map(({ id }) => id)
}

/** A rejected picture stays in the data set and out of every training. */
function isTrained({ pick }: Pick<Marks, 'pick'>): boolean {
  return pick !== 'reject'
}

/**
 * A snapshot's name is the hash of its leaves' hashes: one for all items whose ids begin alike, in the order of their ids. It does not depend on
 * the order of import, and when one item changes, one leaf does. Data sets in which every item is shown once are named as they were before there were
 * repeats.
 */
function snapshotHash(items: readonly FileItem[]): string | null {
  const leaves = new Map<string, FileItem[]>()
  for (const item of items.filter(isTrained)) {
    const prefix = item.id.slice(0, leafPrefix)
    leaves.set(prefix, [...(leaves.get(prefix) ?? []), item])
  }
  return snapshotName(new Map([...leaves].map(([prefix, inside]) => [prefix, leafHash(inside)!])))
}

/** Length of what the ids of a leaf have in common: in 100,000 items a leaf has some 400. */
export const leafPrefix = 2

/** The name of a snapshot with these leaves, by their prefixes in order; null when there are none. */
export function snapshotName(leaves: ReadonlyMap<string, string>): string | null {
  return leaves.size > 0 ? sha256([...leaves].map(([prefix, hash]) => `${prefix} ${hash}\n`).join('')) : null
}

/** The hash of the items of a leaf, which come in the order of their ids; null when there are none. */
export function leafHash(
  items: Iterable<Omit<FrozenItem, 'shard' | 'slot' | 'clip'> & { clip: Pick<ClipFacts, 'frames' | 'frameRate'> | null }>,
): string | null {
  const lines: string[] = []
  for (const { id, pixelHash, split, caption, captions, tags, crop: part, repeats: times, clip } of items) {
    const { kind, ...sides } = part
    const cut = 'x' in sides ? [sides.x, sides.y, sides.width, sides.height] : kind
    const moving = clip ? [clip.frames, clip.frameRate] : []
    const often = times > 1 ? [{ repeats: times }] : []
    lines.push(`${JSON.stringify([id, pixelHash, split, caption, captions, [...tags].sort(), cut, ...moving, ...often])}\n`)
  }
  return lines.length > 0 ? sha256(lines.join('')) : null
}

/** The training pixels of one record: what the preview shows and what the trainer reads is this. */
export function readPixels(folder: string, { shard, slot }: z.infer<typeof place>, imageSize: number): Uint8Array {
  const file = openSync(shardPath(folder, shard), 'r')
  try {
    return readRecord(file, { shard, slot }, new Uint8Array(imageSize * imageSize * 3))
  } finally {
    closeSync(file)
  }
}

/** How many of a snapshot's clips a training on pictures leaves out. */
export async function clipsLeftOut(folder: string, snapshot: string): Promise<number> {
  const frozen = await readJsonLines(join(folder, 'snapshots', `${snapshot}.jsonl`), frozenItem)
  return frozen.filter(({ clip }) => clip).length
}

/** Opens the pictures of a frozen snapshot for training; clips are left out. */
export async function openSnapshot(folder: string, snapshot: string): Promise<DatasetReader> {
  if (!/^[0-9a-f]{64}$/.test(snapshot)) throw new StudioError('invalid-request', `"${snapshot}" is not the name of a snapshot.`)
  const frozen = await readJsonLines(join(folder, 'snapshots', `${snapshot}.jsonl`), frozenItem)
  const items = frozen.flatMap(({ split, ...item }) => (split === 'test' || item.clip ? [] : [{ ...item, split }])) // held back from the engine altogether
  const imageSize = await readImageSize(folder)
  if (items.length === 0 || imageSize === null)
    throw new StudioError('not-found', 'The snapshot of the data set is gone. Start a new run on the data set as it is now.')
  const files = new Map<number, number>()
  const fileOf = (shard: number) => {
    let file = files.get(shard)
    if (file === undefined) files.set(shard, (file = openSync(shardPath(folder, shard), 'r')))
    return file
  }
  return {
    size: items.length,
    imageSize,
    ids: items.map(({ id }) => id),
    captions: items.map(({ caption, captions }) => captionsOf([caption, ...captions])),
    splits: items.map(({ split }) => split),
    repeats: items.map(({ split, repeats: times }) => (split === 'train' ? times : 1)),
    pixelHashes: items.map(({ pixelHash }) => pixelHash),
    image: (index, into = new Uint8Array(imageSize * imageSize * 3)) => {
      const { shard, slot } = items[index]!
      return readRecord(fileOf(shard), { shard, slot }, into)
    },
    [Symbol.dispose]: () => files.forEach((file) => closeSync(file)),
  }
}

/** The captions that say something; an empty one where none does. */
function captionsOf(captions: readonly string[]): readonly string[] {
  const said = captions.filter((text) => text !== '')
  return said.length > 0 ? said : ['']
}

/** Edge of the training pictures; null while nothing is imported. */
async function readImageSize(folder: string): Promise<number | null> {
  const text = await readFile(settingsPath(folder), 'utf8').catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return null
    throw error
  })
  return text === null ? null : settingsFile.parse(JSON.parse(text)).imageSize
}

function settingsPath(folder: string): string {
  return join(folder, 'dataset.json')
}

function readRecord(file: number, { shard, slot }: z.infer<typeof place>, record: Uint8Array): Uint8Array {
  const count = readSync(file, record, 0, record.length, slot * record.length)
  if (count !== record.length)
    throw new StudioError('corrupt-file', `Shard ${shard} of the data set ends before picture ${slot}. Import the pictures again.`)
  return record
}

function shardPath(folder: string, shard: number): string {
  return join(folder, 'shards', `${String(shard).padStart(5, '0')}.bin`)
}
