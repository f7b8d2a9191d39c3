import { z } from 'zod'
import { itemId } from './project.ts'

/** Where pictures come from. Paths are checked against the allowed roots of the host before anything is read. */
export const importSource = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('folder'), path: z.string().min(1).max(4096) }),
  z.object({ kind: z.literal('sample') }),
])
export type ImportSource = z.infer<typeof importSource>

/** How a picture becomes a training image. The short side is scaled to fit, the rest is cropped at the center. */
export const importOptions = z.object({
  /** Edge of the square training image in pixels, 8 to 1024, a multiple of 8. */
  imageSize: z.number().int().min(8).max(1024).multipleOf(8).default(32),
  /** Background put behind transparent pictures, as #rrggbb. */
  background: z
    .string()
    .regex(/^#[0-9a-f]{6}$/i)
    .default('#ffffff'),
})
export type ImportOptions = z.infer<typeof importOptions>

export const ledgerState = z.enum(['used', 'partial', 'rejected'])
export type LedgerState = z.infer<typeof ledgerState>

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

export const datasetItem = z.object({
  id: itemId,
  /** Path inside the source folder, for people. */
  source: z.string(),
  caption: z.string(),
  width: z.number().int(),
  height: z.number().int(),
  state: ledgerState,
  split: datasetSplit,
})
export type DatasetItem = z.infer<typeof datasetItem>

export const datasetSummary = z.object({
  items: z.number().int(),
  validationItems: z.number().int(),
  captioned: z.number().int(),
  imageSize: z.number().int().nullable(),
  totals: ledgerTotals,
  /** sha256 over the frozen list of items: equal content gives an equal hash, whatever the order of import. */
  snapshot: z.string().nullable(),
})
export type DatasetSummary = z.infer<typeof datasetSummary>
