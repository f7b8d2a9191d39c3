import type { Binding, DType as NativeType, NativeRuntime, Session } from '#native-ops/binding.ts'
import { sizeOf } from '../graph/shape.ts'
import type { OnnxPort } from '../lowering/onnx/model.ts'
import { Buffers } from './buffers.ts'
import { decode, encode } from './elements.ts'

interface Place {
  name: string
  dtype: 'f32' | 'f16'
  shape: readonly number[]
}

/** A model of one input and one output that the engine did not write, as standard operations only. Numbers are float32 outside. */
export class ForeignProgram implements Disposable {
  readonly output: Place
  readonly #session: Session
  readonly #binding: Binding
  readonly #inputs: Buffers
  readonly #outputs: Buffers
  readonly #input: Place

  private constructor(runtime: NativeRuntime, session: Session, input: Place, output: Place) {
    this.output = output
    this.#input = input
    this.#session = session
    this.#binding = session.createBinding()
    this.#inputs = new Buffers(runtime, new Map([[input.name, input]]))
    this.#outputs = new Buffers(runtime, new Map([[output.name, output]]))
    this.#binding.bindInput(input.name, this.#inputs.get(input.name))
    this.#binding.bindOutput(output.name, this.#outputs.get(output.name))
  }

  /** Compiles; `placeOf` says where the result goes, from what the compiled model declares. @throws NativeError ModelError. */
  static async compile(
    runtime: NativeRuntime,
    model: Uint8Array,
    input: Place,
    placeOf: (outputs: readonly (Omit<OnnxPort, 'dtype'> & { dtype: NativeType })[]) => Place,
  ): Promise<ForeignProgram> {
    const session = await runtime.createSession(model, { customOps: false, cpuFallback: true })
    try {
      return new ForeignProgram(runtime, session, input, placeOf(session.outputs))
    } catch (error) {
      session.dispose()
      throw error
    }
  }

  /** One run, off the JavaScript thread. The result is a copy. */
  async run(values: Float32Array, signal?: AbortSignal): Promise<Float32Array> {
    if (values.length !== sizeOf(this.#input.shape))
      throw new TypeError(`ForeignProgram: ${values.length} numbers do not fill ${this.#input.shape.join(' x ')}`)
    this.#inputs.write(this.#input.name, encode(values, this.#input.dtype))
    await this.#binding.run(signal)
    return decode(this.#outputs.get(this.output.name).read(), this.output.dtype) as Float32Array
  }

  [Symbol.dispose](): void {
    this.#binding.dispose()
    this.#session.dispose()
    this.#inputs[Symbol.dispose]()
    this.#outputs[Symbol.dispose]()
  }
}
