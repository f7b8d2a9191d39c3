import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Vectors made with the official network: `ZIGMA_GOLDEN`, or `shared/golden` beside the checkout. Null where there are none. */
const candidates = [process.env.ZIGMA_GOLDEN, join(import.meta.dirname, '../../../shared/golden')]
export const goldenFolder = candidates.find((folder) => folder !== undefined && existsSync(folder)) ?? null

/** The end of a test's name that says why it is skipped. */
export const whyNoGoldens = goldenFolder ? '' : ' (skipped: no golden vectors here; set ZIGMA_GOLDEN to their folder)'
