import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Totals } from './test-totals.ts'

const root = join(import.meta.dirname, '..')

/** Types of all rooms, one test. */
export const checkTypes = () => check('types', 'node_modules/vue-tsc/bin/vue-tsc.js', '-b')

/** The rules of eslint.config.js over all rooms, one test. */
export const checkLint = () =>
  check('lint', 'node_modules/eslint/bin/eslint.js', '.', '--max-warnings', '0', '--cache', '--cache-location', '.cache/eslint')

function check(name: string, ...command: readonly string[]): Totals {
  const started = performance.now()
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${name}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s`)
  return status === 0 ? { passed: 1, failed: 0, skipped: [] } : { passed: 0, failed: 1, skipped: [] }
}
