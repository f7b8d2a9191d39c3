import { availableParallelism } from 'node:os'
import { measureEngine } from '#engine/bench.ts'
import { openRuntime } from '#native-ops/load.ts'
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
