import { z } from 'zod'

/** What became of one file of a source. */
export const ledgerState = z.enum(['used', 'partial', 'rejected'])
export type LedgerState = z.infer<typeof ledgerState>
