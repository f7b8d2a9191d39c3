import type { LedgerReason, LedgerState } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ClipRules } from '#contracts/video.ts'
import type { SourceVideo } from '../sources/source-item.ts'
import { planClips, planWhole } from './clip-plan.ts'
import { noClipSentence, dropSentence } from './plan-words.ts'
import { probeVideo } from './probe.ts'
import { VideoError } from './video-error.ts'

/** So many videos of a source are probed before an import; they say what to expect of the others. */
const mostProbed = 8
/** So long one of them may take, and all together. */
const patienceMs = 2000
const allMs = 3000

/** What would come of a video, without decoding it. */
export interface VideoOutlook {
  state: LedgerState
  reason: LedgerReason | null
  detail: string | null
  clips: number
  /** Frames of those clips. */
  frames: number
}

/** Foresees what an import would make of videos, by the function that plans their clips. */
export class VideoCheck {
  readonly #ffmpeg: () => Promise<string>
  readonly #rules: ClipRules
  #tried = 0
  /** Time that was taken by looking, in milliseconds. */
  spentMs = 0
  readonly totals = { found: 0, probed: 0, clips: 0, frames: 0 }

  constructor(ffmpeg: () => Promise<string>, rules: ClipRules) {
    this.#ffmpeg = ffmpeg
    this.#rules = rules
  }

  /** Null where it is not looked at: it lies in an archive, takes too long, or enough others were. @throws the signal's reason. */
  async look({ video, whole }: SourceVideo, signal: AbortSignal): Promise<VideoOutlook | null> {
    this.totals.found++
    if (!('path' in video) || this.#tried >= mostProbed || this.spentMs > allMs) return null
    this.#tried++
    const beganAt = performance.now()
    const patience = AbortSignal.timeout(patienceMs)
    try {
      const outlook = await this.#outlook(await this.#ffmpeg(), video.path, whole, AbortSignal.any([signal, patience]))
      this.totals.probed++
      this.totals.clips += outlook.clips
      this.totals.frames += outlook.frames
      return outlook
    } catch (error) {
      signal.throwIfAborted()
      if (patience.aborted) return null
      if (error instanceof StudioError) return rejected('not-used', error.message)
      throw error
    } finally {
      this.spentMs += performance.now() - beganAt
    }
  }

  async #outlook(ffmpeg: string, path: string, whole: SourceVideo['whole'], signal: AbortSignal): Promise<VideoOutlook> {
    try {
      const { times } = await probeVideo(ffmpeg, path, signal)
      const plan = whole ? planWhole(times, whole) : planClips(times, [], this.#rules, null)
      if (plan.clips.length === 0) return rejected('no-clip', noClipSentence(plan, this.#rules))
      const drops = dropSentence(plan)
      const frames = plan.clips.reduce((sum, { length }) => sum + length, 0)
      const told = { detail: drops, clips: plan.clips.length, frames }
      return drops === null ? { state: 'used', reason: null, ...told } : { state: 'partial', reason: 'frames-dropped', ...told }
    } catch (error) {
      if (error instanceof VideoError) return rejected(error.fault, error.message)
      throw error
    }
  }
}

function rejected(reason: LedgerReason, detail: string): VideoOutlook {
  return { state: 'rejected', reason, detail, clips: 0, frames: 0 }
}
