import type { Recipe } from '#contracts/recipe.ts'
import { trainStep } from './optim/train-step.ts'
import type { DatasetReader } from './ports.ts'
import { measureScan, measureTrainStep, type ScanTimes, type TrainStepTimes } from './runtime/bench.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { BatchReader, DataOrder } from './training/batch.ts'
import { pixelExamples } from './training/examples.ts'
import { lossGraph } from './training/loss-graph.ts'
import { Trainer } from './training/trainer.ts'

export interface EngineTimes {
  trainStep: TrainStepTimes
  scan: ScanTimes
}

/** A recipe's whole training step beside its matrix products, and its selective scan beside a copy of as many bytes: medians of one run. */
export async function measureEngine(runtime: NativeRuntime, recipe: Recipe): Promise<EngineTimes> {
  const { model, textEncoder, batchSize } = recipe
  using trainer = await Trainer.create(runtime, recipe, null)
  const images = Uint8Array.from({ length: batchSize * model.channels * model.height * model.width }, (_, i) => 127.5 + 127.5 * Math.sin(i))
  const ids = textEncoder ? Int32Array.from({ length: batchSize * textEncoder.tokens }, (_, i) => i % 100) : null
  const { graph, loss } = lossGraph(recipe, batchSize, { training: true })
  trainStep(graph, loss)
  let step = 0
  const times = await measureTrainStep(runtime, graph, () => trainer.step(++step, { images, ids }))
  const length = (model.height / model.patchSize) * (model.width / model.patchSize)
  return { trainStep: times, scan: await measureScan(runtime, { batch: batchSize, length, dim: model.expand * model.embedDim }) }
}

/** Reads every item once, in the shuffled batches that the trainer reads; each call is another epoch. */
export function epochsOf(dataset: DatasetReader, batchSize: number): () => Promise<void> {
  const order = new DataOrder([...Array(dataset.size).keys()], 1, batchSize)
  const reader = new BatchReader(pixelExamples(dataset), batchSize, null)
  let step = 0
  return async () => {
    for (let i = 0; i < dataset.size / batchSize; i++) await reader.read(order.itemsOf(++step), null)
  }
}
