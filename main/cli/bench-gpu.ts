import { StudioError } from '#contracts/errors.ts'
import { gpuCases, type GpuCase } from '#engine/bench-cases.ts'
import { measureCases, type CaseReport } from '#engine/bench-gpu.ts'
import { measureCeilings, type CeilingSizes } from '#engine/bench-ceilings.ts'
import { openRuntime } from '#native-ops/load.ts'
import type { Output } from './output.ts'

export interface GpuBenchOptions {
  /** A regular expression; only cases whose names it finds. */
  only?: string
}

/** `zigma bench gpu`: whole steps of the official configurations, beside their floors and the best that was measured of the official code. */
export async function benchGpu(output: Output, { only }: GpuBenchOptions): Promise<void> {
  const cases = chosen(gpuCases(), only)
  await benchCases(output, openRuntime({ device: 'cuda' }), { cases })
}

/** The same on any device and for any cases. Says no where a case failed, after all of them were tried. */
export async function benchCases(
  output: Pick<Output, 'line' | 'answer'>,
  runtime: ReturnType<typeof openRuntime>,
  { cases, sizes }: { cases: readonly GpuCase[]; sizes?: CeilingSizes },
): Promise<void> {
  const compute = runtime.device === 'cuda' ? 'bf16' : 'f32'
  const gpu = runtime.describeGpu()
  const ceilings = await measureCeilings(runtime, compute, sizes)
  output.line(
    `${gpu?.name ?? 'CPU'}: copy ${ceilings.copyGBps.toFixed(0)} GB/s, ${compute} product ${ceilings.productTflops.toFixed(1)} TFLOP/s, ${ceilings.exponentialGps.toFixed(0)} G exponentials/s.`,
  )
  output.line(heading)
  const reports = await measureCases(runtime, cases, { ceilings, onReport: (report) => output.line(lineOf(report)) })
  const failed = reports.filter(({ error }) => error !== null).length
  output.answer({ gpu, compute, ceilings, cases: reports }, `${reports.length - failed} of ${reports.length} configurations measured.`)
  if (failed > 0) throw new StudioError('internal', `${failed} of ${reports.length} configurations could not be measured.`)
}

/** @throws StudioError invalid-request for a pattern that is none or finds no case. */
export function chosen(cases: readonly GpuCase[], only: string | undefined): GpuCase[] {
  let pattern: RegExp
  try {
    pattern = new RegExp(only ?? '')
  } catch (error) {
    throw new StudioError('invalid-request', `--only must be a regular expression: ${(error as Error).message}.`)
  }
  const found = cases.filter(({ name }) => pattern.test(name))
  if (found.length === 0)
    throw new StudioError(
      'invalid-request',
      `--only "${only}" finds none of the configurations: ${cases.map(({ name }) => name).join(' · ')}.`,
    )
  return found
}

const heading = [
  'configuration'.padEnd(33),
  'ms'.padStart(9),
  'floor ms'.padStart(9),
  'share'.padStart(6),
  'GiB'.padStart(7),
  'foretold'.padStart(9),
  'peer over ours'.padStart(15),
].join(' ')

function lineOf(report: CaseReport): string {
  if (report.error !== null) return `${report.name.padEnd(33)} failed: ${report.error}`
  const { name, ms, floor, share, memoryBytes, forecastBytes, ratio, relative } = report
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(2)
  return [
    name.padEnd(33),
    ms.toFixed(2).padStart(9),
    floor.ms.toFixed(2).padStart(9),
    `${(100 * share).toFixed(0)} %`.padStart(6),
    gib(memoryBytes).padStart(7),
    (forecastBytes === null ? '–' : gib(forecastBytes)).padStart(9),
    (ratio === null ? '–' : ratio.toFixed(2)).padStart(15),
    relative ? ` ${relative.ratio.toFixed(3)} times ${relative.base}` : '',
  ]
    .join(' ')
    .trimEnd()
}
