import type { NativeRuntime } from '#native-ops/binding.ts'
import { gradientRules } from '../autodiff/rules.ts'
import { selectiveScan } from '../graph/fused.ts'
import { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Shape, Value } from '../graph/value.ts'
import { matrixProducts } from '../lowering/matrix-products.ts'
import { median } from '../median.ts'
import { Buffers } from './buffers.ts'
import { Program } from './program.ts'

const warmUpRounds = 3

export interface TrainStepTimes {
  /** Medians, milliseconds. */
  stepMs: number
  productsMs: number
  /** stepMs over productsMs. */
  ratio: number
}

/**
 * What a train step costs beside its matrix products alone: a graph with the same products (attention's among them, none of its recomputed
 * ones) and nothing else. Both run in turn, so that both see the same machine; the products read and write warm memory, which favors them.
 *
 * `g` is the graph of the step, `step` runs it once; on zeros it would be faster than on numbers.
 */
export async function measureTrainStep(
  runtime: NativeRuntime,
  g: GraphBuilder,
  step: () => Promise<unknown>,
  rounds = 15,
): Promise<TrainStepTimes> {
  using products = await Program.compile(runtime, matrixProducts(g))
  using memory = sharedMemory(runtime, [...products.reads, ...products.writes])
  const places = (values: ReadonlyMap<string, Value>) =>
    new Map([...values].map(([name, value]) => [name, memory.get(placeOf(name, value.shape))]))
  products.bind(places(products.reads), places(products.writes))

  const [steps, multiplications]: [number[], number[]] = [[], []]
  for (let round = -warmUpRounds; round < rounds; round++) {
    const stepMs = await timeMs(step)
    const productsMs = await timeMs(() => products.run())
    if (round < 0) continue
    steps.push(stepMs)
    multiplications.push(productsMs)
  }
  const [stepMs, productsMs] = [median(steps), median(multiplications)]
  return { stepMs, productsMs, ratio: stepMs / productsMs }
}

/** One tensor for each role and shape, filled with small numbers. */
function sharedMemory(runtime: NativeRuntime, values: readonly (readonly [string, Value])[]): Buffers {
  const memory = new Buffers(runtime, new Map(values.map(([name, value]) => [placeOf(name, value.shape), value])))
  for (const [name, { shape }] of memory.tensors) memory.write(name, wave(sizeOf(shape)))
  return memory
}

const placeOf = (name: string, shape: Shape): string => `${name[0]} ${shape.join('x')}`

export interface ScanTimes {
  forwardMs: number
  backwardMs: number
  copyMs: number
  /** Bytes read and written, over time; the copy's are counted the same way. */
  forwardGBps: number
  backwardGBps: number
  copyGBps: number
}

/** Bandwidth of the selective scan and its gradient beside a plain copy of as many bytes in the same runtime. */
export async function measureScan(
  runtime: NativeRuntime,
  { batch, length, dim, stateDim = 16 }: { batch: number; length: number; dim: number; stateDim?: number },
  rounds = 15,
): Promise<ScanTimes> {
  const tokens = [batch, length, dim]
  const states = [batch, length, stateDim]
  const build = (backwards: boolean) => {
    const g = new GraphBuilder('f32')
    const [u, delta, z] = ['u', 'delta', 'z'].map((name) => g.input(name, tokens)) as [Value, Value, Value]
    const [B, C] = ['B', 'C'].map((name) => g.input(name, states)) as [Value, Value]
    const [D, deltaBias] = ['D', 'deltaBias'].map((name) => g.input(name, [dim])) as [Value, Value]
    const permutation = g.ints(
      Int32Array.from({ length }, (_, i) => i),
      [length],
    )
    const y = selectiveScan(g, { u, delta, A: g.input('A', [dim, stateDim]), B, C, D, z, deltaBias, permutation })
    const node = y.node!
    if (backwards) {
      // The states that the forward pass would keep are handed in, so that the gradient runs alone.
      const gradients = gradientRules.SelectiveScan!(g, { ...node, outputs: [y, g.input('borders', node.outputs[1]!.shape)] }, [
        g.input('dy', tokens),
      ])
      gradients.forEach((gradient, i) => gradient && g.output(`gradient${i}`, gradient))
    } else {
      g.output('y', y)
      g.output('borders', node.outputs[1]!)
    }
    return g
  }
  const forward = await measure(runtime, build(false), rounds)
  const backward = await measure(runtime, build(true), rounds)
  const copy = new GraphBuilder('f32')
  copy.output('to', copy.input('from', [Math.round(forward.sizeBytes / 8)]))
  const copied = await measure(runtime, copy, rounds)
  return {
    forwardMs: forward.ms,
    backwardMs: backward.ms,
    copyMs: copied.ms,
    forwardGBps: forward.sizeBytes / forward.ms / 1e6,
    backwardGBps: backward.sizeBytes / backward.ms / 1e6,
    copyGBps: copied.sizeBytes / copied.ms / 1e6,
  }
}

/** Median time of a run, and the bytes that go in and come out of it. */
async function measure(runtime: NativeRuntime, g: GraphBuilder, rounds: number): Promise<{ ms: number; sizeBytes: number }> {
  using program = await Program.compile(runtime, g)
  using inputs = new Buffers(runtime, program.reads)
  using outputs = new Buffers(runtime, program.writes)
  for (const [name, { shape }] of inputs.tensors) inputs.write(name, wave(sizeOf(shape), name === 'A' ? -2 : 0))
  program.bind(inputs.tensors, outputs.tensors)
  await program.run()
  const times: number[] = []
  for (let round = 0; round < rounds; round++) times.push(await timeMs(() => program.run()))
  return { ms: median(times), sizeBytes: inputs.sizeBytes + outputs.sizeBytes }
}

async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

/** Ordinary numbers of size 1 around `center`: none so small that the processor takes a detour. */
function wave(count: number, center = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => center + Math.sin(i + 0.5))
}
