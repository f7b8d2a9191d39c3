import type { ConstantData, DType } from '../graph/value.ts'

/** Numbers as the bytes of tensors of `dtype`; floats are rounded to nearest, ties to even. Whole numbers stay what they are. */
export function encode(values: ConstantData, dtype: DType): ArrayBufferView {
  if (dtype === 'bf16') return toBfloat16(Float32Array.from(values as Float32Array))
  if (dtype === 'f16') return new Uint16Array(Float16Array.from(values as Float32Array).buffer)
  if (dtype === 'f32' && !(values instanceof Float32Array)) return Float32Array.from(values as Float64Array)
  if (dtype === 'f64' && !(values instanceof Float64Array)) return Float64Array.from(values as Float32Array)
  return values
}

/** The numbers of a float tensor. */
export function decode(bytes: Uint8Array<ArrayBuffer>, dtype: DType): Float32Array | Float64Array {
  if (dtype === 'f64') return new Float64Array(bytes.buffer)
  if (dtype === 'f16') return Float32Array.from(new Float16Array(bytes.buffer))
  if (dtype === 'bf16') return fromBfloat16(new Uint16Array(bytes.buffer))
  return new Float32Array(bytes.buffer)
}

/** The upper halves of float32 numbers. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!
    halves[i] = (b & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
  }
  return halves
}

function fromBfloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16
  return new Float32Array(bits.buffer)
}
