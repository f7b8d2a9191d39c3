import { resolve } from 'node:path'
import type { LedgerTotals } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ClipOptions, ClipRules } from '#contracts/video.ts'
import { listVideos } from './video-folder.ts'
import { VideoIntake, type IntakeTools } from './video-intake.ts'
import { openVideos } from './video-source.ts'

export interface VideoImportRun extends IntakeTools {
  /** Whether what lies beside a single video, its caption for one, may be read. */
  mayRead: (path: string) => boolean
  /** Videos done and in all, and what is being read. */
  onProgress: (progress: { done: number; total: number; file: string }) => void
}

/**
 * Cuts the videos of a folder, or a single one, into clips of the data set, with the captions that its layout gives them. Sources are only read; sound is not. Every
 * video ends in the manifest, used or with a reason.
 *
 * @throws StudioError bad-source when there is no video at all; disk-full (go on after space is made); cancelled.
 */
export async function importVideos(folder: string, options: ClipOptions, run: VideoImportRun): Promise<LedgerTotals> {
  const root = resolve(folder)
  const total = (await listVideos(root)).length
  if (total === 0)
    throw new StudioError(
      'bad-source',
      `There is no video in "${root}". Choose a folder with MP4, MOV, Matroska, WebM, AVI or MPEG-TS videos.`,
    )
  const thresholds = new Map(options.thresholds.map((one) => [one.source, one.cutThreshold]))
  const rulesOf = (source: string): ClipRules => {
    const own = thresholds.get(source)
    return own === undefined ? options.rules : { ...options.rules, cutThreshold: own }
  }
  const trims = new Map(options.trims.map((one) => [one.source, one.trim]))
  const source = await openVideos(root, run.mayRead)
  try {
    const intake = await VideoIntake.open(run)
    let done = 0
    for await (const video of source.items()) {
      if (!('video' in video)) continue
      run.signal.throwIfAborted()
      const tell = (doing: string) => run.onProgress({ done, total, file: `${video.source}${doing}` })
      tell('')
      const byHand = trims.has(video.source) || thresholds.has(video.source)
      const wanted = { imageSize: options.imageSize, rules: rulesOf(video.source), trim: trims.get(video.source) ?? null, byHand }
      await intake.take(root, video, wanted, tell)
      done++
    }
    const clips = await intake.close()
    run.onProgress({ done: total, total, file: '' })
    return await clips.totals(root)
  } finally {
    await source.close()
  }
}
