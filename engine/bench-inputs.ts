import { sizeOf } from './graph/shape.ts'
import { elementBytes, type DType, type Shape } from './graph/value.ts'
import { initialValues } from './models/initialization.ts'
import { normal, uniform } from './random/philox.ts'
import { encode } from './runtime/elements.ts'

// The same few numbers over and over: billions would take longer to draw than to measure with.
const few = 2 ** 16 + 1
const normals = normal(few, { seed: 1, stream: 1 })
const uniforms = uniform(few, { seed: 1, stream: 3 })

/** The bytes of uniform numbers from `low` to `high`. */
export function spread(dtype: DType, count: number, [low, high]: readonly [low: number, high: number]): ArrayBufferView {
  const table = uniforms.map((u) => low + u * (high - low))
  return overAndOver(encode(table, dtype), count * elementBytes[dtype])
}

function overAndOver({ buffer, byteOffset, byteLength }: ArrayBufferView, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const table = new Uint8Array(buffer, byteOffset, byteLength)
  const bytes = new Uint8Array(sizeBytes)
  for (let at = 0; at < sizeBytes; at += byteLength) bytes.set(table.subarray(0, sizeBytes - at), at)
  return bytes
}

/** What is not zero at the start as it starts; matrices and zeros as small normal numbers: on zeros a product would run faster. */
export function weightLike(name: string, shape: Shape, depth: number): Float32Array {
  const count = sizeOf(shape)
  const values = count > few ? null : initialValues(name, shape, depth, { seed: 1, stream: 2 })
  if (values?.some((x) => x !== 0)) return values
  const small = normals.map((x) => 0.02 * x)
  return new Float32Array(overAndOver(small, count * elementBytes.f32).buffer)
}

/** The bytes of a tensor: normal numbers, bytes of pictures, counters, or indices from 0 to `limit`, not included. */
export function example(dtype: DType, count: number, limit = 64): ArrayBufferView {
  if (dtype === 'i64') return BigInt64Array.from({ length: count }, (_, i) => BigInt(i))
  if (dtype === 'i32') return Int32Array.from({ length: count }, (_, i) => i % limit)
  if (dtype === 'u8') return Uint8Array.from({ length: count }, (_, i) => (i * 37) % 256)
  if (dtype === 'bool') return Uint8Array.from({ length: count }, (_, i) => i % 2)
  return overAndOver(encode(normals, dtype), count * elementBytes[dtype])
}
