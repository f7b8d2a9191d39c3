import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ImportOptions, ImportSource, LedgerReason, LedgerTotals } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import { sha256, type SafeFs } from '../store/safe-fs.ts'
import { DatasetFiles, totalsOf, type LedgerLine } from './dataset-files.ts'
import { listFolder, type SourceItem } from './picture-source.ts'
import { PictureError, trainingPicture } from './picture.ts'
import { listSampleSet } from './sample-set.ts'

const shardBytes = 64 * 1024 * 1024
const shardItems = 1024
const flushEveryMs = 20_000 // no more than this is done twice after a crash
const idLength = 20

export interface ImportRun {
  datasetFolder: string
  fs: SafeFs
  signal: AbortSignal
  onProgress: (progress: { done: number; total: number; file: string }) => void
}

/**
 * Brings the pictures of a source into a data set. Sources are only read. Every file found ends in the ledger; what is there already from an
 * earlier or a killed import of the same source is not done twice, so an import that is started again ends as one that was never disturbed.
 *
 * @throws StudioError bad-source when there is no picture at all; disk-full (go on after space is made); cancelled.
 */
export async function importPictures(
  source: ImportSource,
  options: ImportOptions,
  { datasetFolder, fs, signal, onProgress }: ImportRun,
): Promise<LedgerTotals> {
  const dataset = new DatasetFiles(datasetFolder, fs)
  const root = source.kind === 'sample' ? 'sample' : resolve(source.path)
  const found = source.kind === 'sample' ? await listSampleSet() : await listFolder(root)
  if (!found.some(({ refused }) => refused === null)) {
    throw new StudioError(
      'bad-source',
      `There is no picture in "${root}" (${found.length} other files). Choose a folder with PNG, JPEG, WebP, GIF, TIFF or AVIF pictures.`,
    )
  }
  await dataset.prepare()
  await agreeOnSize(dataset, options.imageSize)

  const ledger = await dataset.ledger()
  const here = new Map(ledger.filter((line) => line.root === root).map((line) => [line.source, line]))
  const known = new Map(ledger.flatMap(({ item, source: from }) => (item ? [[item.id, from] as const] : [])))
  const perShard = Math.max(1, Math.min(shardItems, Math.floor(shardBytes / (options.imageSize ** 2 * 3))))
  let shard = ledger.reduce((last, { item }) => Math.max(last, item ? item.shard + 1 : 0), 0)
  let lines: LedgerLine[] = []
  let records: Uint8Array[] = []
  const flush = async () => {
    if (records.length > 0) await dataset.appendShard(shard++, records)
    if (lines.length > 0) await dataset.appendLedger(lines)
    ;[lines, records] = [[], []]
  }

  let flushedAt = performance.now()
  for (const [done, item] of found.entries()) {
    if (signal.aborted) await flush() // what was read stays read
    signal.throwIfAborted()
    onProgress({ done, total: found.length, file: item.source })
    const { line, rgb } = await readItem(root, item, options, known, here.get(item.source) ?? null)
    if (!line) continue
    if (line.item && rgb) {
      known.set(line.item.id, item.source)
      line.item.shard = shard
      line.item.slot = records.length
      records.push(rgb)
    }
    lines.push(line)
    if (records.length >= perShard || lines.length >= shardItems || performance.now() - flushedAt > flushEveryMs) {
      await flush()
      flushedAt = performance.now()
    }
  }
  await flush()
  onProgress({ done: found.length, total: found.length, file: '' })
  return totalsOf((await dataset.ledger()).filter((line) => line.root === root))
}

async function agreeOnSize(dataset: DatasetFiles, imageSize: number): Promise<void> {
  const there = await dataset.imageSize()
  if (there === null) return dataset.setImageSize(imageSize)
  if (there !== imageSize && (await dataset.items()).length > 0) {
    throw new StudioError(
      'invalid-request',
      `The data set holds pictures of ${there} x ${there} pixels, and this import asks for ${imageSize}. Import at ${there} or start a new project.`,
    )
  }
  await dataset.setImageSize(imageSize)
}

/** What becomes of one file; no line when the ledger has it already. */
async function readItem(
  root: string,
  { source, path, caption, captionNote, refused }: SourceItem,
  options: ImportOptions,
  known: ReadonlyMap<ItemId, string>,
  before: LedgerLine | null,
): Promise<{ line: LedgerLine | null; rgb: Uint8Array | null }> {
  const rejected = (reason: LedgerReason, detail: string, fileHash: string | null) => ({
    line:
      before?.reason === reason && before.fileHash === fileHash
        ? null
        : { root, source, state: 'rejected' as const, reason, detail, fileHash, item: null },
    rgb: null,
  })
  if (refused) return rejected(refused.reason, refused.detail, null)
  const bytes = await readFile(path).catch(() => null)
  if (!bytes) return rejected('unreadable', 'The file could not be read. Check its permissions.', null)
  const fileHash = sha256(bytes)
  const id = fileHash.slice(0, idLength) as ItemId
  const twin = known.get(id)
  const isOrphan = before?.reason === 'duplicate' && twin === undefined // its twin has changed since
  if (before?.fileHash === fileHash && !isOrphan) return { line: recaptioned(before, caption, captionNote), rgb: null }
  if (twin !== undefined) return rejected('duplicate', `The picture is the same as "${twin}", byte for byte.`, fileHash)
  try {
    const { rgb, width, height } = await trainingPicture(bytes, options)
    const item = { id, caption, width, height, shard: 0, slot: 0, pixelHash: sha256(rgb) }
    return {
      line: { root, source, ...remark(captionNote ?? cropNote(item)), fileHash, item },
      rgb,
    }
  } catch (error) {
    if (error instanceof PictureError) return rejected(error.reason, error.message, fileHash)
    throw error
  }
}

/** The ledger's line for a picture that is in already, when its caption file has changed since; else none. */
function recaptioned(before: LedgerLine, caption: string, captionNote: Note | null): LedgerLine | null {
  if (!before.item || before.item.caption === caption) return null
  return { ...before, ...remark(captionNote ?? cropNote(before.item)), item: { ...before.item, caption } }
}

interface Note {
  reason: LedgerReason
  detail: string
}

const noticeableCrop = 0.005

/** What the square leaves out of a picture that is not one. */
function cropNote({ width, height }: { width: number; height: number }): Note | null {
  const share = 1 - Math.min(width, height) / Math.max(width, height)
  if (share <= noticeableCrop) return null
  return { reason: 'cropped', detail: `${Math.round(share * 100)} % of ${width} x ${height} lies outside the square that is used.` }
}

/** A picture with a note is used, but not wholly or not as given. */
function remark(note: Note | null): Pick<LedgerLine, 'state' | 'reason' | 'detail'> {
  return { state: note ? 'partial' : 'used', reason: note?.reason ?? null, detail: note?.detail ?? null }
}
