import type { Arena, DeviceTensor, DType as NativeType, NativeRuntime } from '#native-ops/binding.ts'
import { sizeOf } from '../graph/shape.ts'
import { elementBytes, type Value } from '../graph/value.ts'

const alignment = 64

/** Named tensors in one arena, each beginning at a multiple of 64 bytes. */
export class Buffers implements Disposable {
  readonly tensors: ReadonlyMap<string, DeviceTensor>
  readonly sizeBytes: number
  readonly #arena: Arena
  readonly #offsets: ReadonlyMap<string, number>
  readonly #views: DeviceTensor[] = []

  /** Room for `values`, zeroed. Throws OutOfMemory. */
  constructor(runtime: NativeRuntime, values: ReadonlyMap<string, Pick<Value, 'dtype' | 'shape'>>) {
    let size = 0
    const places = [...values].map(([name, { dtype, shape }]) => {
      const offset = size
      size += Math.ceil((sizeOf(shape) * elementBytes[dtype]) / alignment) * alignment
      return { name, dtype, shape, offset }
    })
    this.sizeBytes = Math.max(size, alignment)
    this.#arena = runtime.createArena(this.sizeBytes)
    this.#offsets = new Map(places.map(({ name, offset }) => [name, offset]))
    this.tensors = new Map(
      places.map(({ name, dtype, shape, offset }) => [name, this.#arena.tensor(offset, dtype satisfies NativeType, shape)]),
    )
  }

  get(name: string): DeviceTensor {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new TypeError(`Buffers: there is no tensor "${name}"`)
    return tensor
  }

  /** Some rows of a tensor, `end` not included: the same memory. */
  rows(name: string, start: number, end: number): DeviceTensor {
    const { dtype, shape } = this.get(name)
    const rowBytes = sizeOf(shape.slice(1)) * elementBytes[dtype]
    const view = this.#arena.tensor(this.#offsets.get(name)! + start * rowBytes, dtype, [end - start, ...shape.slice(1)])
    this.#views.push(view)
    return view
  }

  write(name: string, data: ArrayBufferView): void {
    this.get(name).write(data)
  }

  /** A copy of a float32 tensor. */
  floats(name: string): Float32Array {
    return new Float32Array(this.get(name).read().buffer)
  }

  [Symbol.dispose](): void {
    for (const tensor of [...this.tensors.values(), ...this.#views]) tensor.dispose()
    this.#arena.dispose()
  }
}
