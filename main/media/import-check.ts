import type { ImportOptions, ImportSource, LedgerEntry } from '#contracts/dataset.ts'
import type { ImportCheck } from '#contracts/import-wizard.ts'
import { clipRules } from '#contracts/video.ts'
import type { Allowances } from '../store/allowances.ts'
import { rootAt } from '../store/source-record.ts'
import { readItem, settle } from './import-pictures.ts'
import { inOrder } from './in-order.ts'
import { LedgerIndex } from './ledger-index.ts'
import { nameWords } from './sources/caption.ts'
import { openSource } from './sources/open-source.ts'
import { VideoCheck } from './video/video-check.ts'
import { encodePng } from './write-image.ts'

const mostFiles = 200
const mostMs = 2000
const countMs = 1500
const mostPictures = 12
const ahead = 4

export interface CheckRun {
  ledgerPath: string
  originalsFolder: string
  allowances: Allowances
  mayRead: (path: string) => boolean
  /** The program that videos are probed with. @throws StudioError where there is none. */
  ffmpeg: () => Promise<string>
  signal: AbortSignal
}

/** What a dry run found, and the PNG files of its training pictures. */
export interface Checked {
  report: Omit<ImportCheck, 'pictures'> & { pictures: Omit<ImportCheck['pictures'][number], 'pictureUrl'>[] }
  pictures: Uint8Array[]
}

/**
 * Reads the first files of a source (200, or as many as two seconds allow, and up to three more for videos; at least one) as an import would, with the same functions, and writes
 * nothing.
 *
 * @throws StudioError bad-source when the source cannot be opened.
 */
export async function checkImport(
  source: ImportSource,
  options: ImportOptions,
  { ledgerPath, originalsFolder, allowances, mayRead, ffmpeg, signal }: CheckRun,
): Promise<Checked> {
  const from = await openSource(source, mayRead)
  try {
    const root = await rootAt(originalsFolder, from.root)
    const index = await LedgerIndex.read(ledgerPath, root)
    const allowed = await allowances.of(root)
    const total = await within(countMs, from.count())
    const counts = { used: 0, partial: 0, rejected: 0, known: 0 }
    const captions = { own: 0, fromName: 0, none: 0 }
    const reasons = new Map<string, ImportCheck['reasons'][number]>()
    const videos = new VideoCheck(ffmpeg, options.clips ?? clipRules.parse({}))
    const found: Checked = {
      report: { looked: 0, total, isWhole: true, ...counts, captions, videos: videos.totals, reasons: [], pictures: [] },
      pictures: [],
    }
    const tell = ({ state, reason, detail }: Pick<LedgerEntry, 'state' | 'reason' | 'detail'>, file: string) => {
      counts[state]++
      if (!reason) return
      const one = reasons.get(`${state} ${reason}`)
      if (one) one.files++
      else reasons.set(`${state} ${reason}`, { state, reason, files: 1, source: file, detail: detail ?? '' })
    }
    let looked = 0
    const endsAt = performance.now() + mostMs
    for await (const read of inOrder(from.items(), ahead, (item) => readItem(item, options, index, allowed))) {
      signal.throwIfAborted()
      if (looked >= mostFiles || (looked > 0 && performance.now() > endsAt + videos.spentMs)) {
        found.report.isWhole = false
        break
      }
      looked++
      if ('video' in read.item) {
        const outlook = await videos.look(read.item, signal)
        tell(outlook ?? { state: 'used', reason: null, detail: null }, read.item.source)
        continue
      }
      const { line, rgb } = await settle(root, read, index, { copies: null, background: options.background })
      if (!line) {
        counts.known++
        continue
      }
      index.add(line)
      const { reason, item } = line
      tell(line, line.source)
      if (item) captions[item.caption === '' ? 'none' : item.caption === nameWords(line.source) ? 'fromName' : 'own']++
      if (item && rgb && found.pictures.length < mostPictures) {
        const { caption, width, height } = item
        found.report.pictures.push({ source: line.source, caption, width, height, reason })
        found.pictures.push(await encodePng(rgb, options.imageSize, options.imageSize))
      }
    }
    Object.assign(found.report, counts, { looked, reasons: [...reasons.values()].sort((a, b) => b.files - a.files) })
    return found
  } finally {
    await from.close()
  }
}

/** What a piece of work gives, or null when it takes longer; it then goes on and nobody listens. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([work, new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), ms)))])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined) // whoever reads the files hears of it
  }
}
