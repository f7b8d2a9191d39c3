import type { Recipe } from '#contracts/recipe.ts'
import type { DType } from './graph/value.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import { sizeOf } from './graph/shape.ts'
import { velocityGraph } from './generation/velocity-graph.ts'
import { stagesOf } from './lowering/stages.ts'
import { initialValues } from './models/initialization.ts'
import { trainStep } from './optim/train-step.ts'
import { presets } from './presets.ts'
import { normal } from './random/philox.ts'
import { Buffers } from './runtime/buffers.ts'
import { encode } from './runtime/elements.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { Program } from './runtime/program.ts'
import { TrainProgram } from './runtime/train-program.ts'
import { lossGraph } from './training/loss-graph.ts'

const rounds = 20
const warmUpRounds = 7 // of which the fifth is recorded as a CUDA graph
const hyper = { learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, emaDecay: 0.9999, clipNorm: 2, step: 1 }

export interface StepTime {
  /** Median of whole runs, from the call to the end of the work on the device. */
  ms: number
  minMs: number
  maxMs: number
  /** What the device's memory holds more than before: the highest demand, for the arena keeps what it had. */
  memoryBytes: number
}

export interface GpuPrecision {
  compute: DType
  scanChunk: number
}

/** One training step with everything in it: noise, forward, backward, clipping, AdamW and moving average. */
export async function measureTraining(
  runtime: NativeRuntime,
  recipe: Recipe,
  batchSize: number,
  precision: GpuPrecision,
): Promise<StepTime> {
  const before = used(runtime)
  const { graph, loss } = lossGraph(recipe, batchSize, { training: true, ...precision })
  trainStep(graph, loss)
  using program = await TrainProgram.compile(runtime, graph, { cudaGraph: true })
  for (const [name, value] of graph.parameters) program.weights.write(name, weight(name, value.shape, recipe.model.depth))
  for (const [name, { dtype, shape }] of program.batch.tensors) program.batch.write(name, example(dtype, sizeOf(shape)))
  const times = await time(() => program.step(hyper))
  return { ...times, memoryBytes: used(runtime) - before }
}

/** One step of a sampler without guidance; what depends on weights and text alone is computed before, once a drawing. */
export async function measureSampling(
  runtime: NativeRuntime,
  recipe: Recipe,
  batchSize: number,
  precision: GpuPrecision,
): Promise<StepTime> {
  const before = used(runtime)
  const graph = velocityGraph(recipe, { batchSize, guided: false, ...precision })
  const stages = stagesOf(graph, new Set(['ids', 'text']))
  using prepare = await Program.compile(runtime, stages.prepare!)
  using step = await Program.compile(runtime, stages.step, 'native', { cudaGraph: true })
  using inputs = new Buffers(runtime, new Map([...graph.inputs, ...graph.parameters]))
  using prepared = new Buffers(runtime, stages.prepare!.outputs)
  using outputs = new Buffers(runtime, graph.outputs)
  for (const [name, { dtype, shape }] of [...graph.inputs, ...graph.parameters])
    inputs.write(name, graph.parameters.has(name) ? encode(weight(name, shape, recipe.model.depth), dtype) : example(dtype, sizeOf(shape)))
  prepare.bind(inputs.tensors, prepared.tensors)
  await prepare.run()
  step.bind(new Map([...inputs.tensors, ...prepared.tensors]), outputs.tensors)
  const times = await time(() => step.run())
  return { ...times, memoryBytes: used(runtime) - before }
}

export interface GpuCase {
  name: string
  /** What is measured: a training step or one evaluation of the network. */
  work: 'train' | 'sample'
  recipe: Recipe
  batchSize: number
  /** The strongest form of the official network that was measured on one H200 (docs/performance.md), milliseconds. */
  peerMs: number
}

/** The official configurations of width 768 and depth 24, in the sizes that docs/performance.md compares. */
export function gpuCases(): GpuCase[] {
  const named = (name: string): Recipe => presets.find((preset) => preset.name === name)!.recipe
  const [small, large, text] = [named('zigzag8_b1_pe2'), named('s1024_zigzag8_b2_old'), named('zigzag8_b1_pe2_text')]
  const largest: Recipe = { ...large, model: { ...large.model, patchSize: 1 } }
  const rows: [work: GpuCase['work'], tokens: number, batchSize: number, recipe: Recipe, peerMs: number][] = [
    ['train', 1024, 32, small, 186.4],
    ['train', 1024, 32, text, 209.2],
    ['train', 4096, 4, large, 99.3],
    ['train', 16_384, 4, largest, 392.8],
    ['train', 1024, 1, small, 15.0],
    ['sample', 1024, 32, small, 48.9],
    ['sample', 1024, 32, text, 56.3],
    ['sample', 1024, 1, small, 2.63],
    ['sample', 1024, 1, text, 4.38],
    ['sample', 16_384, 4, largest, 113.9],
    ['sample', 16_384, 1, largest, 26.3],
  ]
  return rows.map(([work, tokens, batchSize, recipe, peerMs]) => ({
    name: `${work} ${tokens} x ${batchSize}${recipe === text ? ', text' : ''}`,
    work,
    recipe,
    batchSize,
    peerMs,
  }))
}

export interface Ceilings {
  /** Bytes read and written by a large copy, a second. */
  copyGBps: number
  /** Multiplications and additions of a large product in the type of computation, a second. */
  productTflops: number
}

/** What this GPU can do at best: one large copy, one large matrix product on random numbers. */
export async function measureCeilings(runtime: NativeRuntime, compute: DType): Promise<Ceilings> {
  const n = 8192
  const product = new GraphBuilder('f32', { compute })
  product.output('y', product.gemm(product.input('a', [n, n], compute), product.input('b', [n, n], compute)))
  const productMs = await timeGraph(runtime, product)
  const elements = 2 ** 29
  const copy = new GraphBuilder('f32')
  copy.output('to', copy.input('from', [elements]))
  const copyMs = await timeGraph(runtime, copy)
  return { copyGBps: (2 * 4 * elements) / copyMs / 1e6, productTflops: (2 * n ** 3) / productMs / 1e9 }
}

/** Median milliseconds of a graph alone, as a CUDA graph, on random numbers; A of a scan is negative. */
export async function timeGraph(runtime: NativeRuntime, graph: GraphBuilder): Promise<number> {
  using program = await Program.compile(runtime, graph, 'native', { cudaGraph: true })
  using inputs = new Buffers(runtime, program.reads)
  using outputs = new Buffers(runtime, program.writes)
  for (const [name, { dtype, shape }] of program.reads)
    inputs.write(name, name === 'A' ? weight('A_log', shape, 1).map((x) => -Math.exp(x)) : example(dtype, sizeOf(shape)))
  program.bind(inputs.tensors, outputs.tensors)
  return (await time(() => program.run())).ms
}

async function time(run: () => Promise<unknown>): Promise<Omit<StepTime, 'memoryBytes'>> {
  const times: number[] = []
  for (let round = -warmUpRounds; round < rounds; round++) {
    const start = performance.now()
    await run()
    if (round >= 0) times.push(performance.now() - start)
  }
  const sorted = times.toSorted((a, b) => a - b)
  return { ms: sorted[rounds >> 1]!, minMs: sorted[0]!, maxMs: sorted.at(-1)! }
}

function used(runtime: NativeRuntime): number {
  const gpu = runtime.describeGpu()
  if (!gpu) throw new TypeError('bench: the runtime is not on a GPU')
  return gpu.totalBytes - gpu.freeBytes
}

const table = normal(2 ** 16 + 1, { seed: 1, stream: 1 })

/** Normal numbers of a standard deviation; the same few over and over, for billions would take longer to draw than to measure with. */
function gaussian(count: number, deviation: number): Float32Array {
  const numbers = new Float32Array(count)
  for (let at = 0; at < count; at += table.length) numbers.set(table.subarray(0, Math.min(table.length, count - at)), at)
  if (deviation !== 1) for (let i = 0; i < count; i++) numbers[i]! *= deviation
  return numbers
}

/** What is not zero at the start as it starts; matrices and zeros as small normal numbers: on zeros a product would run faster. */
function weight(name: string, shape: readonly number[], depth: number): Float32Array {
  const count = sizeOf(shape)
  if (count > table.length) return gaussian(count, 0.02)
  const values = initialValues(name, shape, depth, { seed: 1, stream: 2 })
  return values.every((x) => x === 0) ? gaussian(count, 0.02) : values
}

function example(dtype: DType, count: number): ArrayBufferView {
  if (dtype === 'i64') return BigInt64Array.from({ length: count }, (_, i) => BigInt(i))
  if (dtype === 'i32') return Int32Array.from({ length: count }, (_, i) => i % 100)
  return encode(gaussian(count, 1), dtype)
}
