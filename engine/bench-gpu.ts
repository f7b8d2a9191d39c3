import type { Recipe } from '#contracts/recipe.ts'
import { tokensOf, type GpuCase } from './bench-cases.ts'
import { example, weightLike } from './bench-inputs.ts'
import { measureKernels, type KernelTable } from './bench-kernels.ts'
import { floorOf, type Ceilings, type Floor } from './floor.ts'
import { stepBytes } from './forecast.ts'
import { Drawer } from './generation/drawer.ts'
import { drawingGraph, drawingStages } from './generation/drawing-graph.ts'
import type { Precision } from './graph/graph-builder.ts'
import { sizeOf } from './graph/shape.ts'
import type { Graph } from './graph/value.ts'
import { defaultScaling } from './optim/loss-scaling.ts'
import { updateGraph } from './optim/train-step.ts'
import { Buffers } from './runtime/buffers.ts'
import { encode } from './runtime/elements.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { precisionOf, repeated } from './runtime/precision.ts'
import { TrainProgram } from './runtime/train-program.ts'
import { rounds, timeRuns, timesOf, warmUpRounds, type Times } from './time-graph.ts'
import { microBatchOf, trainGraph } from './training/train-graph.ts'

export interface StepTime extends Times {
  /** What the device's memory holds more than before: the highest demand, for the arena keeps what it had. On a CPU what tensors take. */
  memoryBytes: number
  /** What was foretold for it; null for drawing. */
  forecastBytes: number | null
}

/** One training step with everything in it: noise, forward, backward, clipping, AdamW and moving average. */
export async function measureTraining(runtime: NativeRuntime, recipe: Recipe): Promise<StepTime> {
  const before = used(runtime)
  const graph = trainGraph(recipe, precisionOf(runtime, recipe))
  // A processor's arena tells the need only where memory is not handed out from one block.
  using program = await TrainProgram.compile(runtime, graph, { ...repeated, memoryPattern: runtime.device === 'cuda' })
  for (const [name, value] of graph.parameters) program.weights.write(name, weightLike(name, value.shape, recipe.model.depth))
  for (const [name, { dtype, shape }] of program.batch.tensors) program.batch.write(name, example(dtype, sizeOf(shape), indices(recipe)))
  const pieces = recipe.batchSize / microBatchOf(recipe)
  const times = await timeRuns(() => program.step({ ...recipe.optimizer, step: 1 }, { pieces }))
  const memoryBytes = used(runtime) - before || program.stateBytes + program.memory().peakBytes
  return { ...times, memoryBytes, forecastBytes: stepBytes(recipe, graph, runtime.device) }
}

/**
 * One step of a drawing with Euler's method, without guidance and without a prompt: the network and the move that it makes. What is prepared once a drawing
 * is not in it.
 */
export async function measureSampling(runtime: NativeRuntime, recipe: Recipe): Promise<StepTime> {
  const before = used(runtime)
  const { batchSize } = recipe
  const { parameters } = drawingGraph(recipe, { batchSize, guided: false, ...precisionOf(runtime, recipe) })
  using weights = exampleWeights(runtime, recipe, parameters)
  using drawer = await Drawer.create(runtime, recipe, weights.tensors, { tokenizer: null, batchSize, guided: false })
  const seeds = Array.from({ length: batchSize }, (_, i) => i)
  const ends: number[] = []
  await drawer.draw(
    seeds.map(() => ''),
    seeds,
    { steps: warmUpRounds + 1 + rounds, sampler: 'euler', cfgScale: 1, negativePrompt: '' },
    { onStep: () => void ends.push(performance.now()) },
  )
  const warm = ends.slice(warmUpRounds)
  const times = warm.slice(1).map((end, step) => end - warm[step]!)
  const memoryBytes = used(runtime) - before || weights.sizeBytes + drawer.heldBytes()
  return { ...timesOf(times), memoryBytes, forecastBytes: null }
}

/** The graphs that one step of a case runs, and how often each. */
export function partsOf({ work, recipe }: Pick<GpuCase, 'work' | 'recipe'>, precision: Precision): { graph: Graph; runs: number }[] {
  if (work === 'sample')
    return [{ graph: drawingStages(recipe, { batchSize: recipe.batchSize, guided: false, ...precision }).step, runs: 1 }]
  const graph = trainGraph(recipe, precision)
  const pieces = recipe.batchSize / microBatchOf(recipe)
  return pieces === 1
    ? [{ graph, runs: 1 }]
    : [
        { graph, runs: pieces },
        { graph: updateGraph(graph, defaultScaling(graph)), runs: 1 },
      ]
}

/** What is said of a case beside its name: that it failed and why, or what it took beside what it must take. */
export type CaseReport = { name: string; work: GpuCase['work']; tokens: number; batchSize: number; peerMs: number | null } & (
  | { error: string }
  | ({
      error: null
      tokensPerSecond: number
      /** The peer's time over this one. */
      ratio: number | null
      /** Foretold over measured. */
      forecastRatio: number | null
      floor: Floor
      /** The floor over the time. */
      share: number
      /** This time over that of the case it is held against, where that was measured too. */
      relative: { base: string; ratio: number } | null
      /** Its operations one by one, where they were asked for. */
      kernels: KernelTable | null
    } & StepTime)
)

export interface CaseOptions {
  ceilings: Ceilings
  /** Whether the operations of a case are timed one by one as well. */
  withKernels?: (one: GpuCase) => boolean
  onReport?: (report: CaseReport) => void
}

/** Measures one case after the other; one that fails is told in its report, and the others go on. */
export async function measureCases(
  runtime: NativeRuntime,
  cases: readonly GpuCase[],
  { ceilings, withKernels = () => false, onReport = () => {} }: CaseOptions,
): Promise<CaseReport[]> {
  const reports: CaseReport[] = []
  for (const one of cases) {
    const report = await measureCase(runtime, one, { ceilings, withKernels: withKernels(one), others: reports })
    reports.push(report)
    onReport(report)
  }
  return reports
}

async function measureCase(
  runtime: NativeRuntime,
  one: GpuCase,
  { ceilings, withKernels, others }: { ceilings: Ceilings; withKernels: boolean; others: readonly CaseReport[] },
): Promise<CaseReport> {
  const { name, work, recipe, peerMs } = one
  const [tokens, batchSize] = [tokensOf(recipe), recipe.batchSize]
  const known = { name, work, tokens, batchSize, peerMs }
  try {
    const time = await (work === 'train' ? measureTraining : measureSampling)(runtime, recipe)
    const parts = partsOf(one, precisionOf(runtime, recipe))
    const floor = floorOfParts(parts, ceilings)
    const base = others.find((other) => other.name === one.base)
    return {
      ...known,
      ...time,
      error: null,
      tokensPerSecond: (1000 * batchSize * tokens) / time.ms,
      ratio: peerMs && peerMs / time.ms,
      forecastRatio: time.forecastBytes && time.forecastBytes / time.memoryBytes,
      floor,
      share: floor.ms / time.ms,
      relative: base?.error === null ? { base: base.name, ratio: time.ms / base.ms } : null,
      kernels: withKernels ? await measureKernels(runtime, parts, { ceilings, stepMs: time.ms }) : null,
    }
  } catch (error) {
    return { ...known, error: error instanceof Error ? error.message : String(error) }
  }
}

function floorOfParts(parts: readonly { graph: Graph; runs: number }[], ceilings: Ceilings): Floor {
  const sum: Floor = { bytes: 0, flops: 0, specials: 0, ms: 0, leanMs: 0 }
  for (const { graph, runs } of parts) {
    const floor = floorOf(graph, ceilings)
    for (const key of Object.keys(sum) as (keyof Floor)[]) sum[key] += runs * floor[key]
  }
  return sum
}

function exampleWeights(runtime: NativeRuntime, { model }: Recipe, parameters: Graph['parameters']): Buffers {
  const weights = new Buffers(runtime, parameters)
  for (const [name, { dtype, shape }] of parameters) weights.write(name, encode(weightLike(name, shape, model.depth), dtype))
  return weights
}

/** Token ids and classes must be below this. */
function indices({ textEncoder, model: { condition } }: Recipe): number {
  return condition.kind === 'class' ? condition.classes : (textEncoder?.vocabularySize ?? 1)
}

/** Bytes of the device's memory that are in use; 0 on a CPU, where that tells nothing. */
function used(runtime: NativeRuntime): number {
  const gpu = runtime.describeGpu()
  return gpu ? gpu.totalBytes - gpu.freeBytes : 0
}
