import { sizeOf } from './graph/shape.ts'
import type { DType, Shape } from './graph/value.ts'
import { initialValues } from './models/initialization.ts'
import { normal } from './random/philox.ts'
import { encode } from './runtime/elements.ts'

const table = normal(2 ** 16 + 1, { seed: 1, stream: 1 })

/** Normal numbers of a standard deviation; the same few over and over, for billions would take longer to draw than to measure with. */
export function gaussian(count: number, deviation: number): Float32Array {
  const numbers = new Float32Array(count)
  for (let at = 0; at < count; at += table.length) numbers.set(table.subarray(0, Math.min(table.length, count - at)), at)
  if (deviation !== 1) for (let i = 0; i < count; i++) numbers[i]! *= deviation
  return numbers
}

/** What is not zero at the start as it starts; matrices and zeros as small normal numbers: on zeros a product would run faster. */
export function weightLike(name: string, shape: Shape, depth: number): Float32Array {
  const count = sizeOf(shape)
  if (count > table.length) return gaussian(count, 0.02)
  const values = initialValues(name, shape, depth, { seed: 1, stream: 2 })
  return values.every((x) => x === 0) ? gaussian(count, 0.02) : values
}

/** The bytes of a tensor: normal numbers, bytes of pictures, counters, or indices from 0 to `limit`, not included. */
export function example(dtype: DType, count: number, limit = 64): ArrayBufferView {
  if (dtype === 'i64') return BigInt64Array.from({ length: count }, (_, i) => BigInt(i))
  if (dtype === 'i32') return Int32Array.from({ length: count }, (_, i) => i % limit)
  if (dtype === 'u8') return Uint8Array.from({ length: count }, (_, i) => (i * 37) % 256)
  if (dtype === 'bool') return Uint8Array.from({ length: count }, (_, i) => i % 2)
  return encode(gaussian(count, 1), dtype)
}
