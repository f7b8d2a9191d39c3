import { resolve } from 'node:path'
import { ledgerFilter } from '#contracts/ledger.ts'
import type { LedgerReason, LedgerState } from '#contracts/dataset.ts'
import { exportLedger } from '../services/ledger-export.ts'
import type { Output } from './output.ts'
import { withProject } from './session.ts'

interface Asked {
  project: string
  csv?: string
  state?: LedgerState
  reason?: LedgerReason
  text: string
}

/** `zigma ledger --project DIR`: what became of every file, as totals, as a CSV file or as JSON. */
export async function ledgerCommand(output: Output, { project: folder, csv, state, reason, text }: Asked): Promise<void> {
  const filter = ledgerFilter.parse({ state: state ?? null, reason: reason ?? null, text })
  await withProject(folder, [], async ({ context }) => {
    const project = context.project()
    const { totals, reasons } = await project.index.fresh(() => project.ledger.count(text))
    if (csv !== undefined) await context.fs.writeFile(resolve(csv), (await exportLedger(project, 'csv', filter)).bytes)
    const files = JSON.parse(new TextDecoder().decode((await exportLedger(project, 'json', filter)).bytes)) as unknown
    output.answer(
      { totals, reasons, files },
      [
        `${totals.found} files: ${totals.used} used, ${totals.partial} partly, ${totals.rejected} rejected.`,
        ...reasons.filter((one) => one.reason !== null).map((one) => `  ${one.files} ${one.state}: ${one.reason}`),
        ...(csv === undefined ? [] : [`Written to ${csv}.`]),
      ].join('\n'),
    )
  })
}
