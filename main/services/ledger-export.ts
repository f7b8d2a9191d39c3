import type { LedgerFilter } from '#contracts/ledger.ts'
import type { LedgerPageRow } from '../store/ledger-pages.ts'
import type { OpenProject } from './open-project.ts'

const columns = ['root', 'source', 'state', 'reason', 'detail', 'itemId', 'sha256'] as const
type Exported = Record<(typeof columns)[number], string | null>

/** The lines of the ledger that a filter finds, as a file. CSV as in RFC 4180, with a mark for UTF-8 so that spreadsheets read it as such. */
export function exportLedger(
  project: OpenProject,
  format: 'csv' | 'json',
  filter: LedgerFilter,
): Promise<{ bytes: Uint8Array; type: string }> {
  return project.index.fresh(() => {
    const lines: string[] = []
    for (const row of project.ledger.all(filter))
      lines.push(format === 'csv' ? csvLine(exported(row)) : `  ${JSON.stringify(exported(row))}`)
    const text =
      format === 'csv' ? `\ufeff${columns.join(',')}\r\n${lines.join('')}` : lines.length > 0 ? `[\n${lines.join(',\n')}\n]\n` : '[]\n'
    return { bytes: new TextEncoder().encode(text), type: format === 'csv' ? 'text/csv; charset=utf-8' : 'application/json' }
  })
}

function exported({ root, source, state, reason, detail, itemId, fileHash }: LedgerPageRow): Exported {
  return { root, source, state, reason, detail, itemId, sha256: fileHash }
}

function csvLine(line: Exported): string {
  return `${columns.map((column) => cell(line[column] ?? '')).join(',')}\r\n`
}

/** A file may be named like a formula; spreadsheets run none behind an apostrophe. JSON holds every name as it is. */
function cell(text: string): string {
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert
}
