import type { Ceilings } from './floor.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import type { DType } from './graph/value.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { timeGraph } from './time-graph.ts'

/** How much is done to find out: the edge of two square matrices, numbers of a copy, chains of powers and their length. */
export interface CeilingSizes {
  product: number
  copied: number
  chains: number
  rounds: number
}

const sizesOn: Readonly<Record<NativeRuntime['device'], CeilingSizes>> = {
  cuda: { product: 8192, copied: 2 ** 29, chains: 2 ** 22, rounds: 4096 },
  cpu: { product: 1024, copied: 2 ** 24, chains: 2 ** 16, rounds: 256 },
}

/**
 * What this device does at best: one large negation, which moves the bytes of a copy by a kernel as all others do (a copy in a recorded graph is left to
 * the copy engine, half as fast); one large matrix product on random numbers in the type of computation, and 2^-x over and over on
 * numbers that stay in registers (`PowerChain`). ONNX's own Exp would tell the speed of the cache: it moves eight bytes for each power.
 */
export async function measureCeilings(
  runtime: NativeRuntime,
  compute: DType,
  { product, copied, chains, rounds }: CeilingSizes = sizesOn[runtime.device],
): Promise<Ceilings> {
  const multiply = new GraphBuilder('f32', { compute })
  const matrix = (name: string) => multiply.input(name, [product, product], compute)
  multiply.output('y', multiply.gemm(matrix('a'), matrix('b')))
  const copy = new GraphBuilder('f32')
  copy.output('to', copy.neg(copy.input('from', [copied])))
  const power = new GraphBuilder('f32')
  power.output('y', power.node('PowerChain', [power.input('x', [chains])], { rounds }, [[[chains], 'f32']])[0]!)

  const productMs = await timeGraph(runtime, multiply)
  const copyMs = await timeGraph(runtime, copy)
  const powersMs = await timeGraph(runtime, power)
  return {
    copyGBps: (2 * 4 * copied) / copyMs / 1e6,
    productTflops: (2 * product ** 3) / productMs / 1e9,
    exponentialGps: (chains * rounds) / powersMs / 1e6,
  }
}
