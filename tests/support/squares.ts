import type { DeviceTensor, NativeRuntime } from '#native-ops/binding.ts'

type Tuple<N extends number, List extends DeviceTensor[] = []> = List['length'] extends N ? List : Tuple<N, [...List, DeviceTensor]>

/** `count` tensors of shape [size, size], zero, in an arena of their own. */
export function squares<N extends number>(runtime: NativeRuntime, size: number, count: N): Tuple<N> {
  const strideBytes = Math.ceil((size * size * 4) / 64) * 64
  const arena = runtime.createArena(strideBytes * count)
  return Array.from({ length: count }, (_, i) => arena.tensor(i * strideBytes, 'f32', [size, size])) as Tuple<N>
}

/** The elements of an f32 tensor. */
export const values = (tensor: DeviceTensor): number[] => [...new Float32Array(tensor.read().buffer)]
