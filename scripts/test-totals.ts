/** What a part of the test run found. */
export interface Totals {
  passed: number
  failed: number
  /** One line a test that was not run: its name and why. */
  skipped: string[]
}

/** Prints what was left out and why, then the totals alone on the last line. Returns the exit code. */
export function sumUp(parts: readonly Totals[]): number {
  const passed = parts.reduce((sum, part) => sum + part.passed, 0)
  const failed = parts.reduce((sum, part) => sum + part.failed, 0)
  const skipped = parts.flatMap((part) => part.skipped)
  for (const line of skipped) console.log(`skipped: ${line}`)
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  return failed > 0 || passed === 0 ? 1 : 0
}
