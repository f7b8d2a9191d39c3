import { philox } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'

/** So many numbers of one counter as the operation of this device draws them. */
export async function drawnOn(
  runtime: NativeRuntime,
  size: number,
  distribution: 'uniform' | 'normal',
  counter: { seed: number; stream: number; step: number; sample: number },
): Promise<Float32Array> {
  const g = new GraphBuilder('f32')
  const [seed, step, sample] = ['seed', 'step', 'sample'].map((name) => g.input(name, [1], 'i64'))
  g.output('x', philox(g, { seed: seed!, step: step!, sample: sample! }, { shape: [size], distribution, stream: counter.stream }))
  const feeds = {
    seed: BigInt64Array.of(BigInt(counter.seed)),
    step: BigInt64Array.of(BigInt(counter.step)),
    sample: BigInt64Array.of(BigInt(counter.sample)),
  }
  return (await evaluate(runtime, g, feeds)).x as Float32Array
}
