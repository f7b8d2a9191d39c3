import { StudioError } from '#contracts/errors.ts'
import { gpuCases, type GpuCase } from '#engine/bench-cases.ts'
import { measureCases, type CaseOptions, type CaseReport } from '#engine/bench-gpu.ts'
import type { KernelTable } from '#engine/bench-kernels.ts'
import { measureCeilings, type CeilingSizes } from '#engine/bench-ceilings.ts'
import { openRuntime } from './native.ts'
import type { Output } from './output.ts'

export interface GpuBenchOptions {
  /** A regular expression; only cases whose names it finds. */
  only?: string
  /** Times the operations of `train 1024 x 32` and `sample 1024 x 1` one by one; with `only`, of all that it finds. */
  kernels?: boolean
}

const withKernels = new Set(['train 1024 x 32', 'sample 1024 x 1'])

/** `zigma bench gpu`: whole steps of the official configurations, beside their floors and the best that was measured of the official code. */
export async function benchGpu(output: Output, { only, kernels = false }: GpuBenchOptions): Promise<void> {
  const cases = chosen(gpuCases(), only)
  await benchCases(output, openRuntime({ device: 'cuda' }), {
    cases,
    withKernels: ({ name }) => kernels && (only !== undefined || withKernels.has(name)),
  })
}

/** The same on any device and for any cases. Says no where a case failed, after all of them were tried. */
export async function benchCases(
  output: Pick<Output, 'line' | 'answer'>,
  runtime: ReturnType<typeof openRuntime>,
  { cases, sizes, ...options }: { cases: readonly GpuCase[]; sizes?: CeilingSizes } & Pick<CaseOptions, 'withKernels'>,
): Promise<void> {
  const compute = runtime.device === 'cuda' ? 'bf16' : 'f32'
  const gpu = runtime.describeGpu()
  const ceilings = await measureCeilings(runtime, compute, sizes)
  output.line(
    `${gpu?.name ?? 'CPU'}: copy ${ceilings.copyGBps.toFixed(0)} GB/s, ${compute} product ${ceilings.productTflops.toFixed(1)} TFLOP/s, ${ceilings.exponentialGps.toFixed(0)} G exponentials/s.`,
  )
  output.line(heading)
  const onReport = (report: CaseReport) => {
    output.line(lineOf(report))
    if (report.error === null && report.kernels) for (const line of kernelLines(report.kernels)) output.line(line)
  }
  const reports = await measureCases(runtime, cases, { ceilings, onReport, ...options })
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

/** Kinds of operations that are listed; the document has all of them. */
const mostListed = 40

/** The operations of a step, the longest in all first. */
function* kernelLines({ kernels, overheadMs, sumMs, stepMs, restMs }: KernelTable): Generator<string> {
  yield '    count   ms each    ms all  floor ms  share    GB/s  TFLOP/s  floor is of        operation'
  const [listed, others] = [kernels.slice(0, mostListed), kernels.slice(mostListed)]
  for (const { operation, what, count, ms, totalMs, floorMs, share, GBps, tflops, bound, error } of listed) {
    const figures =
      error === null
        ? [ms!.toFixed(4), totalMs!.toFixed(3), floorMs.toFixed(4), `${(100 * share!).toFixed(0)} %`, GBps!.toFixed(0), tflops!.toFixed(1)]
        : ['failed', '', floorMs.toFixed(4), '', '', '']
    const columns = figures.map((figure, i) => figure.padStart([9, 9, 9, 6, 7, 8][i]!))
    yield `    ${String(count).padStart(5)} ${columns.join(' ')}  ${bound.padEnd(17)}  ${operation} ${error ?? what}`
  }
  if (others.length > 0) {
    const otherMs = others.reduce((sum, { totalMs }) => sum + (totalMs ?? 0), 0)
    const failed = others.filter(({ error }) => error !== null).map(({ operation, error }) => `, ${operation} failed: ${error}`)
    yield `    ${others.length} more kinds, ${otherMs.toFixed(3)} ms${failed.join('')}`
  }
  yield `    Sum ${sumMs.toFixed(2)} ms, whole step ${stepMs.toFixed(2)} ms, rest ${restMs.toFixed(2)} ms. A run of one tiny operation: ${overheadMs.toFixed(4)} ms.`
}
