import { z } from 'zod'
import { captionOutcome, captionRequest } from './captioning.ts'
import { importOptions, importSource, ledgerTotals } from './dataset.ts'
import { wireError } from './errors.ts'
import { exportRequest, exportTotals } from './export.ts'
import { generationRequest } from './gallery.ts'
import { jobId, runId } from './project.ts'
import { clipOptions, videoId } from './video.ts'

export const jobState = z.enum(['queued', 'running', 'paused', 'interrupted', 'done', 'failed', 'cancelled'])
export type JobState = z.infer<typeof jobState>

/** What a job does: a frozen copy of its parameters, taken when it was queued. */
export const jobPayload = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('import'),
    source: importSource,
    options: importOptions,
    /** Only these files of it, by their names in the ledger; all where it is left out. */
    only: z.array(z.string()).min(1).max(10_000).optional(),
  }),
  /** Measure the items that are not measured yet, and find duplicates. */
  z.object({ kind: z.literal('measure') }),
  /** Make the training pixels of the items whose crop has changed. */
  z.object({ kind: z.literal('crop') }),
  /** Find the scenes of a video. */
  z.object({ kind: z.literal('scenes'), videoId, path: z.string() }),
  /** Cut the videos of a folder into clips of the data set. */
  z.object({ kind: z.literal('clips'), path: z.string(), options: clipOptions }),
  /** Write part of the data set for other programs. */
  z.object({ kind: z.literal('export'), request: exportRequest }),
  /** Describe items by a captioner, as one edit. */
  z.object({ kind: z.literal('caption'), request: captionRequest }),
  z.object({ kind: z.literal('train'), runId }),
  z.object({ kind: z.literal('sample'), request: generationRequest }),
])
export type JobPayload = z.infer<typeof jobPayload>
export type JobKind = JobPayload['kind']

export const jobProgress = z.object({
  jobId,
  /** Units finished and in all: files, steps, pictures or frames. `total` is null while it is not known. */
  done: z.number().int(),
  total: z.number().int().nullable(),
  unit: z.enum(['files', 'steps', 'pictures', 'frames']),
  /** Seconds left as far as can be told from the pace so far. */
  secondsLeft: z.number().nullable(),
  /** What is being done right now, for people: a file's name, "checkpoint", "samples". */
  note: z.string().nullable(),
})
export type JobProgress = z.infer<typeof jobProgress>

export const jobResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('import'), totals: ledgerTotals }),
  /** `missing` are items whose originals are gone or others now. */
  z.object({ kind: z.literal('measure'), measured: z.number().int(), missing: z.number().int() }),
  /** `missing` keep the pixels of before: their originals are away. */
  z.object({ kind: z.literal('crop'), made: z.number().int(), missing: z.number().int() }),
  z.object({ kind: z.literal('scenes'), frames: z.number().int() }),
  /** `note` says what clips are good for so far. */
  z.object({ kind: z.literal('clips'), totals: ledgerTotals, clips: z.number().int(), note: z.string() }),
  z.object({ kind: z.literal('export'), folder: z.string(), totals: exportTotals }),
  captionOutcome.extend({ kind: z.literal('caption') }),
  z.object({ kind: z.literal('train'), step: z.number().int(), loss: z.number().nullable() }),
  z.object({ kind: z.literal('sample'), pictures: z.number().int() }),
])
export type JobResult = z.infer<typeof jobResult>

export const job = z.object({
  id: jobId,
  title: z.string(),
  payload: jobPayload,
  state: jobState,
  lane: z.enum(['cpu', 'engine']),
  /** Position among the waiting, smallest first. */
  order: z.number(),
  attempt: z.number().int(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  progress: jobProgress.nullable(),
  result: jobResult.nullable(),
  error: wireError.nullable(),
  retryOf: jobId.nullable(),
})
export type Job = z.infer<typeof job>

export const queueStatus = z.object({
  /** running; pausing = paused after the current job; paused = nothing starts. */
  mode: z.enum(['running', 'pausing', 'paused']),
  waiting: z.number().int(),
  running: z.number().int(),
})
export type QueueStatus = z.infer<typeof queueStatus>
