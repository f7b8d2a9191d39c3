import { parseArgs } from 'node:util'
import { checkLint, checkTypes } from './test-checks.ts'
import { kinds, runTests } from './test-kinds.ts'
import { sumUp } from './test-totals.ts'

/** npm test: types, style and every kind of test; ends with `N passed, N failed`. */
const choices: readonly string[] = ['types', 'lint', ...kinds]
const { values: options } = parseArgs({ options: { long: { type: 'boolean', default: false }, only: { type: 'string', multiple: true } } })
const wanted = options.only ?? choices
const unknown = wanted.find((name) => !choices.includes(name))
if (unknown !== undefined) {
  console.error(`There is no kind of test '${unknown}'. Choose from: ${choices.join(', ')}.`)
  process.exit(2)
}
if (options.long) process.env['ZIGMA_LONG'] = '1'

const totals = []
if (wanted.includes('types')) totals.push(checkTypes())
if (wanted.includes('lint')) totals.push(checkLint())
totals.push(await runTests(kinds.filter((kind) => wanted.includes(kind))))
process.exitCode = sumUp(totals)
