import { z } from 'zod'
import { curationTarget } from './curation.ts'

/**
 * How an export lies on the disk: tars of samples that share a key (img2dataset, WebDataset), Hugging Face's image folder, its video folder, which
 * holds the clips, kohya's folders with a dataset file, or the tars that ZigMa's own code reads.
 */
export const exportLayout = z.enum(['webdataset', 'imagefolder', 'videofolder', 'kohya', 'zigma'])
export type ExportLayout = z.infer<typeof exportLayout>

/** Readers of a layout expect one of the two. */
export type ExportedKind = 'picture' | 'clip'
export function kindIn(layout: ExportLayout): ExportedKind {
  return layout === 'videofolder' ? 'clip' : 'picture'
}

/** A frozen list of items, as a run trained on it; the sha256 of its content. */
export const snapshotName = z.string().regex(/^[0-9a-f]{64}$/, 'must be the name of a snapshot')

/** Which items. Rejected ones are not among them; a snapshot has items, captions, tags and splits as they were frozen. */
export const exportSelection = z.discriminatedUnion('kind', [
  ...curationTarget.options,
  z.object({ kind: z.literal('snapshot'), name: snapshotName }),
])
export type ExportSelection = z.infer<typeof exportSelection>

const everything = { kind: 'query' as const, filter: { text: '', buckets: [] }, except: [] }

export const exportPlan = z.object({
  /** All that is in training where it is not given. */
  what: exportSelection.default(everything),
  layout: exportLayout,
  /** training: exactly what the trainer sees, as PNG; originals: the imported files, byte for byte. */
  pixels: z.enum(['training', 'originals']).default('training'),
  /** folders: train, validation and test apart from each other; together: one set, in which splits are not told. */
  splits: z.enum(['folders', 'together']).default('folders'),
  /** in-captions: text files hold "caption, tag, tag", for programs that learn tags and read nothing else. */
  tags: z.enum(['beside', 'in-captions']).default('beside'),
  /** Beside each picture what the project's autoencoder made of it, not scaled. For ZigMa's layout. */
  latents: z.boolean().default(false),
})
export type ExportPlan = z.infer<typeof exportPlan>

/** `folder` is the folder that comes to be, with its last name: not there yet, or empty. */
export const exportRequest = exportPlan.extend({ folder: z.string().min(1).max(4096) })
export type ExportRequest = z.infer<typeof exportRequest>

/** Why an item that was asked for is not in an export. */
export const leftOutReason = z.enum(['rejected', 'clip', 'picture', 'original-away', 'format-not-read', 'damaged'])
export type LeftOutReason = z.infer<typeof leftOutReason>

export const leftOutCount = z.object({ reason: leftOutReason, items: z.number().int() })
export type LeftOutCount = z.infer<typeof leftOutCount>

/** What an export would come to. Sizes are told from some of the items. */
export const exportForecast = z.object({
  items: z.number().int(),
  /** Not among the items: clips where the layout holds pictures, and pictures where it holds clips. */
  otherKind: z.number().int(),
  rejected: z.number().int(),
  /** Of the items: those whose people refused, and those of whom that is not known. */
  consentRefused: z.number().int(),
  consentUnknown: z.number().int(),
  sizeBytes: z.number(),
  /** Pictures that were looked at to tell the size, and those among them that cannot be had: originals that are away. */
  looked: z.number().int(),
  missing: z.number().int(),
  /** Where the export would lie; null where the system does not say. */
  freeBytes: z.number().nullable(),
})
export type ExportForecast = z.infer<typeof exportForecast>

export const exportTotals = z.object({
  items: z.number().int(),
  leftOut: z.array(leftOutCount),
  sizeBytes: z.number(),
})
export type ExportTotals = z.infer<typeof exportTotals>

/** A snapshot that a run froze. */
export const snapshotRecord = z.object({
  name: snapshotName,
  items: z.number().int(),
  frozenAt: z.iso.datetime(),
  /** Names of the runs that trained on it. */
  runs: z.array(z.string()),
})
export type SnapshotRecord = z.infer<typeof snapshotRecord>
