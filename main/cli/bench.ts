import { availableParallelism } from 'node:os'
import { measureScan, measureTrainStep } from '#engine/runtime/bench.ts'
import { lossGraph } from '#engine/training/loss-graph.ts'
import { Trainer } from '#engine/training/trainer.ts'
import { trainStep } from '#engine/optim/train-step.ts'
import { openRuntime } from '#native-ops/load.ts'
import type { Output } from './output.ts'
import { presetNamed } from './train.ts'

/** `zigma bench cpu`: ratios of medians, each pair measured in one run with the same threads. */
export async function benchCpu(output: Output): Promise<void> {
  const runtime = openRuntime()
  const recipe = presetNamed('tiny')
  output.line(`Measuring on ${runtime.threads} of ${availableParallelism()} threads, ${runtime.instructionSet}.`)
  using trainer = await Trainer.create(runtime, recipe, null)
  const { model, textEncoder, batchSize } = recipe
  const pixels = Float32Array.from({ length: batchSize * model.channels * model.height * model.width }, (_, i) => Math.sin(i))
  const ids = textEncoder ? Int32Array.from({ length: batchSize * textEncoder.tokens }, (_, i) => i % 100) : null
  const { graph, loss } = lossGraph(recipe, batchSize, { training: true })
  trainStep(graph, loss)
  let step = 0
  const training = await measureTrainStep(runtime, graph, () => trainer.step(++step, { images: pixels, ids }))
  const scan = await measureScan(runtime, {
    batch: batchSize,
    length: (model.height / model.patchSize) * (model.width / model.patchSize),
    dim: model.expand * model.embedDim,
  })
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
