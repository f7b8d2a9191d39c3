import { availableParallelism } from 'node:os'
import { kindIn, type ExportedKind, type ExportPlan, type ExportTotals, type LeftOutReason } from '#contracts/export.ts'
import { StudioError } from '#contracts/errors.ts'
import { isCode, type NewFolder, type SafeFs } from '../../store/safe-fs.ts'
import { inOrder } from '../in-order.ts'
import { ExportFiles } from './export-files.ts'
import type { ExportItem, Survey } from './export-item.ts'
import { ExportPictures, type PictureRooms } from './export-pictures.ts'
import { layoutOf } from './layout.ts'

const ahead = 8 // pictures that are made while earlier ones are written
/** The same of clips: encoders are programs of one thread each. */
const clipsAhead = Math.min(ahead, availableParallelism())

export interface ExportRun extends PictureRooms {
  plan: Pick<ExportPlan, 'layout' | 'pixels' | 'splits' | 'tags'>
  /** The folder that comes to be. */
  folder: string
  /** Names what a killed process left, for the next that tries. */
  key: string
  items: AsyncIterable<ExportItem>
  survey: Survey
  /** The content of README.md. */
  readme: (totals: ExportTotals, usage: readonly string[]) => string
  fs: SafeFs
  signal: AbortSignal
  onProgress: (progress: { done: number; total: number; source: string }) => void
}

/**
 * Writes items in the layout that another program reads: all of them or nothing. The folder comes to be when everything is in it; until then it has
 * a temporary name, and what a canceled or failed export had written is removed. Pictures that cannot be had are left out and stand in
 * left-out.jsonl. The same items give the same bytes.
 *
 * @throws StudioError already-exists when something came into the folder meanwhile; bad-source when no picture could be had; disk-full; cancelled.
 */
export async function writeExport(run: ExportRun): Promise<ExportTotals> {
  const { plan, folder: path, key, items, survey, readme, fs, signal, onProgress } = run
  const layout = layoutOf(plan, survey, run.latents)
  const folder = await fs.newFolder(path, key)
  const files = new ExportFiles(folder, layout)
  try {
    let done = 0
    const leftOut = new Map<LeftOutReason, number>()
    const pictures = new ExportPictures(run, layout)
    for await (const { item, made } of inOrder(pictures.sources(items), layout.video ? clipsAhead : ahead, async (source) => {
      signal.throwIfAborted()
      const one = await pictures.make(source, signal)
      if ('picture' in one) await files.place(source.item, one.picture)
      else if ('video' in one) await files.placeVideo(source.item, one.video)
      return { item: source.item, made: one }
    })) {
      signal.throwIfAborted()
      onProgress({ done: done++, total: survey.items, source: item.source })
      if ('picture' in made) await files.add(item, made.picture)
      else if ('video' in made) await files.addVideo(item, made.video)
      else {
        leftOut.set(made.reason, (leftOut.get(made.reason) ?? 0) + 1)
        await files.leaveOut({ source: item.source, ...made })
      }
    }
    const totals = {
      items: survey.items - [...leftOut.values()].reduce((sum, count) => sum + count, 0),
      leftOut: [
        ...(survey.rejected > 0 ? [{ reason: 'rejected' as const, items: survey.rejected }] : []),
        ...[...leftOut].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, count]) => ({ reason, items: count })),
      ],
    }
    if (totals.items === 0) throw nothingLeft(survey, leftOut, kindIn(plan.layout))
    await files.keep((sizeBytes) => readme({ ...totals, sizeBytes }, layout.usage))
    signal.throwIfAborted()
    await keepFolder(folder, path)
    onProgress({ done: survey.items, total: survey.items, source: '' })
    return { ...totals, sizeBytes: files.sizeBytes }
  } catch (error) {
    await files.discard()
    await folder.discard()
    throw error
  }
}

async function keepFolder(folder: NewFolder, path: string): Promise<void> {
  try {
    await folder.keep()
  } catch (cause) {
    if (!isCode(cause, 'ENOTEMPTY') && !isCode(cause, 'EEXIST') && !isCode(cause, 'ENOTDIR')) throw cause
    throw new StudioError(
      'already-exists',
      `Something came into "${path}" while the export was written, so nothing was put there. Choose another folder.`,
      { cause },
    )
  }
}

function nothingLeft({ items, rejected }: Survey, leftOut: ReadonlyMap<LeftOutReason, number>, kind: ExportedKind): StudioError {
  if (items === 0)
    return new StudioError(
      'bad-source',
      rejected > 0
        ? `All ${rejected} ${kind}s that were asked for are rejected, and these are never exported. Take some of them back.`
        : `No ${kind} was found to export. Import ${kind === 'clip' ? 'videos' : 'pictures'}, or ask for others.`,
    )
  const other = leftOut.get(kind === 'clip' ? 'picture' : 'clip') ?? 0
  if (other === items)
    return new StudioError(
      'bad-source',
      kind === 'clip'
        ? `All ${items} that were asked for are pictures, and this layout holds clips, so nothing was written. Choose another layout, or import videos.`
        : `All ${items} that were asked for are clips of videos, and this layout holds pictures, so nothing was written. Choose the video folder.`,
    )
  const why = { rejected: 'rejected', clip: 'clips of videos', picture: 'pictures', 'original-away': 'without their originals', 'format-not-read': 'of formats that are not read', damaged: 'damaged' } // prettier-ignore
  const counts = [...leftOut].map(([reason, count]) => `${count} ${why[reason]}`).join(', ')
  const wayOut = kind === 'clip' ? 'Import the videos again.' : 'Connect the drives of their sources, or export the training pixels.'
  const what = other > 0 ? 'items' : `${kind}s`
  return new StudioError('bad-source', `None of the ${items} ${what} could be exported (${counts}), so nothing was written. ${wayOut}`)
}
