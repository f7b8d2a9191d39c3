import { availableParallelism } from 'node:os'
import { StudioError } from '#contracts/errors.ts'
import { measureMemory, memoryRecipes } from '#engine/bench-memory.ts'
import { measureEngine } from '#engine/bench.ts'
import { openRuntime } from './native.ts'
import type { Output } from './output.ts'
import { presetNamed } from './train.ts'

/** `zigma bench cpu`: ratios of medians, each pair measured in one run with the same threads. */
export async function benchCpu(output: Output): Promise<void> {
  const runtime = openRuntime()
  const recipe = presetNamed('tiny')
  output.line(`Measuring on ${runtime.threads} of ${availableParallelism()} threads, ${runtime.instructionSet}.`)
  const { trainStep: training, scan } = await measureEngine(runtime, recipe)
  const ratios = { forward: scan.forwardGBps / scan.copyGBps, backward: scan.backwardGBps / scan.copyGBps }
  output.answer(
    {
      threads: runtime.threads,
      instructionSet: runtime.instructionSet,
      preset: 'tiny',
      trainStepRatio: training.ratio,
      trainStep: training,
      selectiveScan: { ...scan, forwardOverCopy: ratios.forward, backwardOverCopy: ratios.backward },
    },
    [
      `train step of tiny       ${training.stepMs.toFixed(1)} ms, its matrix products ${training.productsMs.toFixed(1)} ms: ratio ${training.ratio.toFixed(2)}`,
      `selective scan forward   ${scan.forwardGBps.toFixed(2)} GB/s, ${(100 * ratios.forward).toFixed(0)} % of a copy (${scan.copyGBps.toFixed(2)} GB/s)`,
      `selective scan backward  ${scan.backwardGBps.toFixed(2)} GB/s, ${(100 * ratios.backward).toFixed(0)} % of a copy`,
    ].join('\n'),
  )
}

/** `zigma bench memory`: what training steps were foretold to take beside what they took. Says no where one is further off than a tenth. */
export async function benchMemory(output: Output): Promise<void> {
  const runtime = openRuntime()
  const cases = []
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1).padStart(7)} MiB`
  for (const { name, recipe } of memoryRecipes()) {
    const one = await measureMemory(runtime, name, recipe)
    cases.push(one)
    output.line(
      `${name.padEnd(26)} foretold ${mib(one.forecastBytes)}  measured ${mib(one.measuredBytes)}  ratio ${one.ratio.toFixed(3)}  ${one.medianMs.toFixed(0)} ms`,
    )
  }
  const worst = Math.max(...cases.map(({ ratio }) => Math.abs(ratio - 1)))
  output.answer({ worst, cases }, `${cases.length} configurations, the forecast at most ${(100 * worst).toFixed(1)} % off.`)
  if (worst > 0.1) throw new StudioError('internal', 'A forecast is more than a tenth off.')
}
