import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { checkParity, gradientTolerance, outputTolerances, skippedCase, type ParityCase } from '#engine/parity.ts'
import type { Device } from '#native-ops/load.ts'
import { openRuntime } from './native.ts'
import { CheckFailed, type Output } from './output.ts'

/** `zigma parity DIR [--skip a,b] [--device cpu|cuda]`: a line a case; exit code 3 when one is wrong, or cannot be run and is not named by --skip. */
export async function parity(output: Output, folder: string, { skip, device }: { skip?: string; device: Device }): Promise<void> {
  const files = await readdir(folder).catch((cause: unknown) => {
    throw new StudioError('bad-source', `The folder "${folder}" cannot be read. Check its path.`, { cause })
  })
  const words = (skip ?? '').split(',').filter((word) => word !== '')
  const runtime = openRuntime({ device })
  const cases: ParityCase[] = []
  for (const file of files.filter((name) => /\.(safetensors|json)$/.test(name)).sort()) {
    const word = words.find((one) => file.includes(one))
    const result = word === undefined ? await checkParity(runtime, file, await readFile(join(folder, file))) : skippedCase(file, word)
    cases.push(result)
    output.line(show(result))
  }
  if (cases.length === 0) throw new StudioError('bad-source', `"${folder}" holds no reference file (.safetensors or .json).`)
  const wrong = cases.filter(({ outcome }) => outcome === 'fail' || outcome === 'cannot-run')
  const count = (outcome: ParityCase['outcome']) => cases.filter((one) => one.outcome === outcome).length
  const summary = `${count('pass')} passed, ${wrong.length} failed, ${count('skipped')} skipped (outputs within ${outputTolerances[device]}, gradients within ${gradientTolerance})`
  output.answer({ cases, passed: count('pass'), failed: wrong.length, skipped: count('skipped') }, summary)
  if (wrong.length > 0) throw new CheckFailed(`Not equal to the reference: ${wrong.map(({ file }) => file).join(', ')}.`)
}

function show({ file, outcome, outputError, portableError, gradientError, worstGradient, note }: ParityCase): string {
  const number = (x: number | null) => (x === null ? '–' : x.toExponential(1))
  const figures =
    outputError === null
      ? ''
      : ` · output ${number(outputError)} · portable ${number(portableError)} · gradient ${number(gradientError)}${worstGradient ? ` (${worstGradient})` : ''}`
  return `${outcome.padEnd(10)} ${file}${figures}${note ? ` · ${note}` : ''}`
}
