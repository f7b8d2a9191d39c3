import type { StoredTensor } from './safetensors.ts'

/** A float32 tensor as it is stored. */
export function storeFloats(values: Float32Array, shape: readonly number[]): StoredTensor {
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
}

/** A stored F32 or F64 tensor as float32 values, copied so that they are aligned. */
export function loadFloats({ dtype, bytes }: StoredTensor): Float32Array {
  const copy = new Uint8Array(bytes).buffer
  if (dtype === 'F32') return new Float32Array(copy)
  if (dtype === 'F64') return Float32Array.from(new Float64Array(copy))
  throw new TypeError(`loadFloats: a tensor of type ${dtype} is not float32`)
}

/** A stored I32 tensor. */
export function loadInts({ dtype, bytes }: StoredTensor): Int32Array {
  if (dtype !== 'I32') throw new TypeError(`loadInts: a tensor of type ${dtype} is not int32`)
  return new Int32Array(new Uint8Array(bytes).buffer)
}
