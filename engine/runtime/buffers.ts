import type { Arena, DeviceTensor, DType as NativeType, NativeRuntime } from '#native-ops/binding.ts'
import { sizeOf } from '../graph/shape.ts'
import { elementBytes, type Shape, type Value } from '../graph/value.ts'

const alignment = 64

/** Named tensors in one arena, each beginning at a multiple of 64 bytes. */
export class Buffers implements Disposable {
  readonly tensors: ReadonlyMap<string, DeviceTensor>
  readonly sizeBytes: number
  readonly #arena: Arena
  readonly #offsets: ReadonlyMap<string, number>
  readonly #views: DeviceTensor[] = []

  /** Room for `values`, zeroed; those of one list of `neighbors` one behind the other. Throws OutOfMemory. */
  constructor(
    runtime: NativeRuntime,
    values: ReadonlyMap<string, Pick<Value, 'dtype' | 'shape'>>,
    neighbors: readonly (readonly string[])[] = [],
  ) {
    let size = 0
    const order = new Set([...neighbors.flat(), ...values.keys()])
    const places = [...order].map((name) => {
      const { dtype, shape } = values.get(name)!
      const offset = size
      size += Math.ceil((sizeOf(shape) * elementBytes[dtype]) / alignment) * alignment
      return [name, offset] as const
    })
    this.sizeBytes = Math.max(size, alignment)
    this.#arena = runtime.createArena(this.sizeBytes)
    this.#offsets = new Map(places)
    this.tensors = new Map(
      [...values].map(([name, { dtype, shape }]) => [
        name,
        this.#arena.tensor(this.#offsets.get(name)!, dtype satisfies NativeType, shape),
      ]),
    )
  }

  get(name: string): DeviceTensor {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new TypeError(`Buffers: there is no tensor "${name}"`)
    return tensor
  }

  /** The memory from a row of a tensor on, into its neighbors where the shape is larger than what is left of it. */
  view(name: string, row: number, shape: Shape): DeviceTensor {
    const tensor = this.get(name)
    const rowBytes = sizeOf(tensor.shape.slice(1)) * elementBytes[tensor.dtype]
    const view = this.#arena.tensor(this.#offsets.get(name)! + row * rowBytes, tensor.dtype, shape)
    this.#views.push(view)
    return view
  }

  /** Makes everything zero again. */
  clear(): void {
    for (const tensor of this.tensors.values()) tensor.write(new Uint8Array(sizeOf(tensor.shape) * elementBytes[tensor.dtype]))
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
