import { z } from 'zod'
import { ledgerState } from './ledger-state.ts'
import { itemId } from './project.ts'
import { clipRules } from './video.ts'

export { ledgerState, type LedgerState } from './ledger-state.ts'

/**
 * How the files of a source are read: as pictures with caption files, as Hugging Face's image folder (metadata.jsonl, .csv, .parquet; folders
 * named after splits), as kohya's folders ("30_cat" = 30 repeats of a cat) or as tars of samples that share a key.
 */
export const sourceLayout = z.enum(['plain', 'imagefolder', 'kohya', 'webdataset'])
export type SourceLayout = z.infer<typeof sourceLayout>

const sourceWishes = {
  path: z.string().min(1).max(4096),
  /** Recognized where it is not given. */
  layout: sourceLayout.optional(),
  /** Whether the project keeps a copy of each picture's file or refers to it where it is; a reference where it is not given. */
  originals: z.enum(['reference', 'copy']).optional(),
}

/** Where pictures come from. Paths are checked against the allowed roots of the host before anything is read. */
export const importSource = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('folder'), ...sourceWishes }),
  /** One file: a zip or tar, a TOML file of kohya or diffusion-pipe that names folders, a picture or a video. */
  z.object({ kind: z.literal('file'), ...sourceWishes }),
  z.object({ kind: z.literal('sample') }),
])
export type ImportSource = z.infer<typeof importSource>

/** What a path was recognized as, before anything of it is imported. */
export const recognizedSource = z.object({
  container: z.enum(['folder', 'zip', 'tar', 'toml', 'picture', 'video', 'sample']),
  layout: sourceLayout,
  /** The same in words. */
  description: z.string(),
})
export type RecognizedSource = z.infer<typeof recognizedSource>

/** Whether those who are shown in a picture, or made it, agree to its use. */
export const consent = z.enum(['unknown', 'given', 'not-needed', 'refused'])
export type Consent = z.infer<typeof consent>

/** How often an epoch of training shows an item. */
export const repeats = z.number().int().min(1).max(10_000)

/** What a source says of an item beyond its picture, captions and tags. */
export const sourceFacts = z
  .object({
    split: z.enum(['train', 'validation', 'test']),
    repeats,
    /** What the pictures of a folder have in common. */
    concept: z.string().max(500),
    author: z.string().max(500),
    licence: z.string().max(500),
    /** Where it comes from: an address or an archive. */
    origin: z.string().max(2000),
    consent,
  })
  .partial()
export type SourceFacts = z.infer<typeof sourceFacts>

/** How a picture becomes a training image. The short side is scaled to fit, the rest is cropped at the center. */
export const importOptions = z.object({
  /** Edge of the square training image in pixels, 8 to 1024, a multiple of 8. */
  imageSize: z.number().int().min(8).max(1024).multipleOf(8).default(32),
  /** Background put behind transparent pictures, as #rrggbb. */
  background: z
    .string()
    .regex(/^#[0-9a-f]{6}$/i)
    .default('#ffffff'),
  /** How videos among the files become clips; by the rules' own defaults where it is not given. */
  clips: clipRules.optional(),
})
export type ImportOptions = z.infer<typeof importOptions>

/** Why an item is not used, or not wholly. The sentence stands in `detail`. */
export const ledgerReason = z.enum([
  'cropped',
  'caption-not-utf8',
  'caption-missing',
  'not-a-picture',
  'unsupported-format',
  'corrupt',
  'empty-file',
  'too-many-pixels',
  'too-small',
  'duplicate',
  'unreadable',
  'not-a-file',
  'link-outside',
  'timed-out',
  'too-large',
  'bomb',
  'encrypted',
  'unsafe-name',
  'metadata-broken',
  'file-missing',
  'caption-without-picture',
  'caption-too-long',
  'not-used',
  // Of videos.
  'no-video',
  'too-long',
  'no-clip',
  'frames-dropped',
])
export type LedgerReason = z.infer<typeof ledgerReason>

export const ledgerEntry = z.object({
  /** Path inside the source folder, for people. */
  source: z.string(),
  state: ledgerState,
  reason: ledgerReason.nullable(),
  detail: z.string().nullable(),
  itemId: itemId.nullable(),
})
export type LedgerEntry = z.infer<typeof ledgerEntry>

export const ledgerTotals = z.object({
  found: z.number().int(),
  used: z.number().int(),
  partial: z.number().int(),
  rejected: z.number().int(),
})
export type LedgerTotals = z.infer<typeof ledgerTotals>

/** test is held back from training and from its validation alike. */
export const datasetSplit = z.enum(['train', 'validation', 'test'])
export type DatasetSplit = z.infer<typeof datasetSplit>

/** What a clip has beyond a picture. */
export const clipFacts = z.object({
  frames: z.number().int().min(1),
  /** Frames a second when it is played at the video's own speed. */
  frameRate: z.number().positive(),
  /** Every so many-th frame of the retimed video was taken. */
  stride: z.number().int().min(1),
  /** Where in the video it lies: seconds from the start, and its first and last frame, counted from 0. */
  startSeconds: z.number(),
  firstFrame: z.number().int(),
  lastFrame: z.number().int(),
})
export type ClipFacts = z.infer<typeof clipFacts>

export const datasetItem = z.object({
  id: itemId,
  /** Path inside the source folder, for people. */
  source: z.string(),
  caption: z.string(),
  width: z.number().int(),
  height: z.number().int(),
  state: ledgerState,
  split: datasetSplit,
  /** Null for a picture. */
  clip: clipFacts.nullable(),
})
export type DatasetItem = z.infer<typeof datasetItem>

/** A source that pictures came from. What it gave stays in the data set when it cannot be reached. */
export const sourceRoot = z.object({
  /** A path, or "sample". */
  root: z.string(),
  /** Where it lies now, when people said that it is elsewhere; null while it is where it was. */
  place: z.string().nullable(),
  /** What was dropped on the window: its copies go once they are imported. */
  isDropped: z.boolean(),
  /** offline: a disk that is not there, a folder that was moved. */
  state: z.enum(['online', 'offline']),
  found: z.number().int(),
  items: z.number().int(),
  /** Items whose files the project keeps a copy of. */
  copied: z.number().int(),
})
export type SourceRoot = z.infer<typeof sourceRoot>

export const datasetSummary = z.object({
  /** Pictures and clips. */
  items: z.number().int(),
  clips: z.number().int(),
  validationItems: z.number().int(),
  captioned: z.number().int(),
  imageSize: z.number().int().nullable(),
  totals: ledgerTotals,
  roots: z.array(sourceRoot),
  /** sha256 over the frozen list of items: equal content gives an equal hash, whatever the order of import. */
  snapshot: z.string().nullable(),
})
export type DatasetSummary = z.infer<typeof datasetSummary>
