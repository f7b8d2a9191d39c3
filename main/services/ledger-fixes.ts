import type { LedgerReason } from '#contracts/dataset.ts'
import type { LedgerFix, LedgerRow } from '#contracts/ledger.ts'
import { idOf } from '../media/import-pictures.ts'
import type { LedgerPageRow } from '../store/ledger-pages.ts'

/** What can be done about each reason, the likeliest first. Where nothing is named, nothing can be done in the studio. */
const fixesOf = {
  cropped: ['crop'],
  'caption-not-utf8': ['reencode', 'name-caption', 'folder-caption', 'edit-caption', 'read-again'],
  'caption-missing': ['name-caption', 'folder-caption', 'edit-caption', 'read-again'],
  'caption-too-long': ['edit-caption', 'read-again'],
  'caption-without-picture': ['read-again'],
  'metadata-broken': ['edit-caption', 'read-again'],
  'file-missing': ['read-again'],
  'too-small': ['accept-small', 'take-back', 'read-again'],
  'too-many-pixels': ['accept-large', 'take-back', 'read-again'],
  duplicate: ['show-twin'],
  corrupt: ['read-again'],
  'empty-file': ['read-again'],
  unreadable: ['read-again'],
  'timed-out': ['read-again'],
  'too-large': ['read-again'],
  'unsupported-format': ['read-again'],
  'link-outside': ['read-again'],
  'not-used': ['import-archive'],
  'not-a-picture': [],
  'not-a-file': [],
  bomb: ['read-again'],
  encrypted: ['read-again'],
  'unsafe-name': ['read-again'],
  'no-video': ['read-again'],
  'too-long': ['cut-video'],
  'no-clip': ['cut-video'],
  'frames-dropped': ['cut-video'],
} satisfies Record<LedgerReason, LedgerFix[]>

/** Fixes that read the files of the source. */
const reading: ReadonlySet<LedgerFix> = new Set([
  'reencode',
  'accept-small',
  'accept-large',
  'take-back',
  'read-again',
  'import-archive',
  'cut-video',
])
/** Fixes of the caption of a picture that is in the data set. */
const ofItems: ReadonlySet<LedgerFix> = new Set(['reencode', 'name-caption', 'folder-caption', 'edit-caption', 'take-back', 'crop'])
const ofRejected: ReadonlySet<LedgerFix> = new Set(['accept-small', 'accept-large'])
const archive = /\.(zip|tar|tgz|tar\.gz)$/i
const listing = /\.toml$/i

/** What of that can be done about one line. @param isOnline whether its source can be reached. */
export function fixesFor(row: LedgerPageRow, isOnline: boolean): LedgerFix[] {
  if (row.reason === null) return []
  const all: readonly LedgerFix[] = fixesOf[row.reason]
  const possible = all.filter((fix) => {
    if (ofItems.has(fix) && row.itemId === null) return false
    if (ofRejected.has(fix) && row.itemId !== null) return false
    if (fix === 'folder-caption') return row.source.includes('/')
    if (fix === 'import-archive') return isOnline && archive.test(row.source)
    if (fix === 'cut-video') return isOnline && isFolder(row.root)
    return isOnline || !reading.has(fix)
  })
  return !isOnline && all.some((fix) => reading.has(fix)) ? [...possible, 'locate'] : possible
}

/** Whether videos of a source can be cut one by one: they lie in a folder, not in an archive or behind a list. */
function isFolder(root: string): boolean {
  return root !== 'sample' && !archive.test(root) && !listing.test(root)
}

/** A line of the ledger as people see it. */
export function toLedgerRow(row: LedgerPageRow, isOnline: boolean): LedgerRow {
  const { root, source, state, reason, detail, itemId, fileHash, hasSaidCaption } = row
  const isMended = hasSaidCaption === 1 && reason !== null && (reason.startsWith('caption-') || reason === 'metadata-broken')
  return {
    ...{ root, source, state, reason, detail, itemId, isMended },
    twin: reason === 'duplicate' && fileHash !== null ? idOf(fileHash) : null,
    fixes: isMended ? fixesFor(row, isOnline).filter((fix) => fix === 'edit-caption') : fixesFor(row, isOnline),
  }
}
