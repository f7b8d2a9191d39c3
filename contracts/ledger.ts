import { z } from 'zod'
import { ledgerEntry, ledgerReason, ledgerState, ledgerTotals, sourceRoot } from './dataset.ts'
import { itemId } from './project.ts'

/** Which lines of the ledger; text is looked for in the names of the files, as it stands and in any case. */
export const ledgerFilter = z.object({
  state: ledgerState.nullable().default(null),
  reason: ledgerReason.nullable().default(null),
  text: z.string().max(500).default(''),
})
export type LedgerFilter = z.infer<typeof ledgerFilter>

/**
 * What can be done about a line. Words: reencode reads the caption file in another encoding, name-caption and folder-caption make a caption of where
 * the file lies; each is an edit of the data set. accept-small and accept-large take the picture in spite of its size, take-back gives that up,
 * read-again reads the file once more; each is an import of that file. edit-caption, show-twin, locate,
 * import-archive, crop and cut-video lead to where it is done.
 */
export const ledgerFix = z.enum([
  'reencode',
  'name-caption',
  'folder-caption',
  'edit-caption',
  'show-twin',
  'accept-small',
  'accept-large',
  'take-back',
  'read-again',
  'locate',
  'import-archive',
  'crop',
  'cut-video',
])
export type LedgerFix = z.infer<typeof ledgerFix>

export const ledgerRow = ledgerEntry.extend({
  /** The source that the file belongs to: a path, or "sample". */
  root: z.string(),
  /** The picture of the data set that a duplicate is the same as. */
  twin: itemId.nullable(),
  /** Its caption was said by people since: what was wrong with it does not count any more. */
  isMended: z.boolean(),
  fixes: z.array(ledgerFix),
})
export type LedgerRow = z.infer<typeof ledgerRow>

/** How many lines have a state and a reason. */
export const reasonCount = z.object({ state: ledgerState, reason: ledgerReason.nullable(), files: z.number().int() })
export type ReasonCount = z.infer<typeof reasonCount>

/** Totals of the lines that hold a text, and what they are made of: the counts of a state add up to its total, the states to `found`. */
export const ledgerCounts = z.object({ totals: ledgerTotals, reasons: z.array(reasonCount) })
export type LedgerCounts = z.infer<typeof ledgerCounts>

/** Encodings in which captions are commonly found, by the names that browsers know them by. */
export const captionEncoding = z.enum([
  'windows-1252',
  'gb18030',
  'big5',
  'shift_jis',
  'euc-kr',
  'windows-1251',
  'windows-1250',
  'utf-16le',
])
export type CaptionEncoding = z.infer<typeof captionEncoding>

/** One file of the ledger. */
export const ledgerFile = z.object({ root: z.string().max(4096), source: z.string().max(8192) })
export type LedgerFile = z.infer<typeof ledgerFile>

/** One file, or all lines that a filter finds. */
export const ledgerTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file') }).extend(ledgerFile.shape),
  z.object({ kind: z.literal('filter'), filter: ledgerFilter }),
])
export type LedgerTarget = z.infer<typeof ledgerTarget>

/** What a caption file says in an encoding; null where its bytes are no text in that. */
export const encodingPreview = z.object({ encoding: captionEncoding, caption: z.string().nullable() })
export type EncodingPreview = z.infer<typeof encodingPreview>

/** A fix that edits captions, as one edit that can be taken back. */
export const captionFix = z.object({
  target: ledgerTarget,
  fix: z.enum(['reencode', 'name-caption', 'folder-caption']),
  /** For reencode. */
  encoding: captionEncoding.nullable().default(null),
})
export type CaptionFix = z.infer<typeof captionFix>

/** `left` are files of the target that it could not be done for. */
export const fixOutcome = z.object({ changed: z.number().int(), left: z.number().int() })
export type FixOutcome = z.infer<typeof fixOutcome>

/** A fix that reads files again. */
export const fileFix = z.object({ target: ledgerTarget, fix: z.enum(['accept-small', 'accept-large', 'take-back', 'read-again']) })
export type FileFix = z.infer<typeof fileFix>

/** A source is somewhere else now. */
export const relocation = z.object({ root: z.string().max(4096), path: z.string().min(1).max(4096) })
export type Relocation = z.infer<typeof relocation>

/** Of some files of the source: how many were looked for at the new place and found with the same content. */
export const relocated = z.object({ root: sourceRoot, checked: z.number().int(), same: z.number().int() })
export type Relocated = z.infer<typeof relocated>
