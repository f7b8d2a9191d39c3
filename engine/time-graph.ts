import { example } from './bench-inputs.ts'
import { sizeOf } from './graph/shape.ts'
import type { Graph, Value } from './graph/value.ts'
import { median } from './median.ts'
import { Buffers } from './runtime/buffers.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { repeated } from './runtime/precision.ts'
import { Program } from './runtime/program.ts'

export const rounds = 20
export const warmUpRounds = 7 // of which the fourth is recorded as a CUDA graph

export interface Times {
  /** Median of whole runs, from the call to the end of the work on the device. */
  ms: number
  minMs: number
  maxMs: number
}

/** Median milliseconds of a graph alone, on a GPU as a CUDA graph. `bytesOf` gives what its inputs hold; by default normal numbers. */
export async function timeGraph(
  runtime: NativeRuntime,
  graph: Graph,
  bytesOf: (name: string, value: Value) => ArrayBufferView = (_, { dtype, shape }) => example(dtype, sizeOf(shape)),
): Promise<number> {
  using program = await Program.compile(runtime, graph, 'native', repeated)
  using inputs = new Buffers(runtime, program.reads)
  using outputs = new Buffers(runtime, program.writes)
  for (const [name, value] of program.reads) inputs.write(name, bytesOf(name, value))
  program.bind(inputs.tensors, outputs.tensors)
  return (await timeRuns(() => program.run())).ms
}

export async function timeRuns(run: () => Promise<unknown>): Promise<Times> {
  const times: number[] = []
  for (let round = -warmUpRounds; round < rounds; round++) {
    const start = performance.now()
    await run()
    if (round >= 0) times.push(performance.now() - start)
  }
  return timesOf(times)
}

export function timesOf(runs: readonly number[]): Times {
  return { ms: median(runs), minMs: Math.min(...runs), maxMs: Math.max(...runs) }
}
