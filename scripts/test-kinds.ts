import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startVitest } from 'vitest/node'
import type { TestModule } from 'vitest/node'
import { findBrowser } from './find-program.ts'
import type { Totals } from './test-totals.ts'

/** Folders of tests/, by what they need. */
export const kinds = ['unit', 'numeric', 'golden', 'contracts', 'services', 'native', 'gpu', 'e2e'] as const
export type Kind = (typeof kinds)[number]

/** What a kind of test needs and this machine may lack. */
const needs: Partial<Record<Kind, { present: () => boolean; otherwise: string }>> = {
  gpu: { present: () => existsSync('/dev/nvidiactl'), otherwise: 'this machine has no NVIDIA GPU' },
  e2e: { present: () => findBrowser() !== undefined, otherwise: 'there is no Chromium: install it (Debian: apt-get install chromium)' },
}

/** Runs the tests of these kinds; those that this machine cannot run count as skipped, with the reason. */
export async function runTests(wanted: readonly Kind[]): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, skipped: [] }
  const runnable = wanted.filter((kind) => {
    const need = needs[kind]
    if (!need || need.present()) return true
    totals.skipped.push(`tests/${kind}: ${need.otherwise}`)
    return false
  })
  if (runnable.length === 0) return totals

  const vitest = await startVitest(
    'test',
    runnable.map((kind) => `tests/${kind}/`),
    { watch: false, root: join(import.meta.dirname, '..'), passWithNoTests: true },
  )
  for (const module of vitest.state.getTestModules()) countModule(module, totals)
  totals.failed += vitest.state.getUnhandledErrors().length
  await vitest.close()
  return totals
}

function countModule(module: TestModule, totals: Totals): void {
  // A file that cannot be loaded has no tests, so its errors count themselves.
  totals.failed += module.errors().length
  for (const test of module.children.allTests()) {
    const result = test.result()
    if (result.state === 'passed') totals.passed++
    else if (result.state === 'failed') totals.failed++
    else
      totals.skipped.push(
        `${module.relativeModuleId}: ${test.fullName}${result.state === 'skipped' && result.note ? ` (${result.note})` : ''}`,
      )
  }
  for (const suite of module.children.allSuites()) totals.failed += suite.errors().length
}
