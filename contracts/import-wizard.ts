import { z } from 'zod'
import { importOptions, importSource, ledgerReason, ledgerState } from './dataset.ts'
import { jobId } from './project.ts'

/** The steps of an import in their order. Ledger is the last: what came of it. */
export const importStep = z.enum(['choose', 'recognize', 'options', 'check', 'import', 'ledger'])
export type ImportStep = z.infer<typeof importStep>

/** An import that is being prepared. It is kept in the project, so that a page, a studio or a machine that ends comes back to it. */
export const importDraft = z.object({
  step: importStep,
  /** Null until something is chosen. */
  source: importSource.nullable(),
  options: importOptions,
  /** The import that was started from it. */
  jobId: jobId.nullable(),
})
export type ImportDraft = z.infer<typeof importDraft>

/** A draft as it is come back to. */
export const resumedDraft = importDraft.extend({
  /** What people know the source by: for what was dropped the names of what is in it. */
  title: z.string().nullable(),
  /** Whether the source is what was dropped on the window: it goes once it is imported, so copies of its files are worth keeping. */
  isDropped: z.boolean(),
  /** Why the source cannot be read as it is now, as one sentence. */
  problem: z.string().nullable(),
})
export type ResumedDraft = z.infer<typeof resumedDraft>

/** How much there is in a source, and room for it. */
export const sourceWeight = z.object({
  files: z.number().int(),
  sizeBytes: z.number(),
  /** False where there is more than could be counted in a moment: the figures are lower bounds. */
  isWhole: z.boolean(),
  /** Where the project lies; null where the system does not say. */
  freeBytes: z.number().nullable(),
})
export type SourceWeight = z.infer<typeof sourceWeight>

const checkedReason = z.object({
  state: ledgerState,
  reason: ledgerReason,
  files: z.number().int(),
  /** One of them and its sentence. */
  source: z.string(),
  detail: z.string(),
})

const checkedPicture = z.object({
  source: z.string(),
  caption: z.string(),
  width: z.number().int(),
  height: z.number().int(),
  reason: ledgerReason.nullable(),
  /** The training picture, made by the very function that an import makes it with. */
  pictureUrl: z.string(),
})

/** What would come of an import, seen on its first files. Nothing was written for it. */
export const importCheck = z.object({
  /** Files looked at, and about how many there are; null where that is not known. */
  looked: z.number().int(),
  total: z.number().int().nullable(),
  isWhole: z.boolean(),
  used: z.number().int(),
  partial: z.number().int(),
  rejected: z.number().int(),
  /** Files that the data set has already as they are now. */
  known: z.number().int(),
  /** Of what would be used: pictures with a caption of their own, with one made of their name, and with none. */
  captions: z.object({ own: z.number().int(), fromName: z.number().int(), none: z.number().int() }),
  /**
   * Of the videos among the files looked at, how many were probed, and the clips and frames of clips that come of those: the rest count as used.
   * Scenes are not looked for, which may make it fewer.
   */
  videos: z.object({ found: z.number().int(), probed: z.number().int(), clips: z.number().int(), frames: z.number().int() }),
  reasons: z.array(checkedReason),
  pictures: z.array(checkedPicture),
})
export type ImportCheck = z.infer<typeof importCheck>
