import { StudioError } from '#contracts/errors.ts'
import { isNativeError, type NativeRuntime, type Session, type ValueInfo } from '#native-ops/binding.ts'
import { Buffers } from './buffers.ts'

export interface Feed {
  name: string
  dtype: 'f32' | 'i64'
  shape: readonly number[]
  data: Float32Array | BigInt64Array
}

/** A model that somebody else made, compiled without operators of ours. Tensors of one run are freed after it. */
export class ForeignModel implements Disposable {
  readonly name: string
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly #runtime: NativeRuntime
  readonly #session: Session

  private constructor(runtime: NativeRuntime, session: Session, name: string) {
    this.#runtime = runtime
    this.#session = session
    this.name = name
    this.inputs = session.inputs
    this.outputs = session.outputs
  }

  /**
   * @param bytes of a model that was looked through
   * @param name the file's, for the sentences
   * @throws StudioError corrupt-file when this build cannot run it
   */
  static async open(runtime: NativeRuntime, bytes: Uint8Array, name: string): Promise<ForeignModel> {
    const { threads } = runtime
    const session = await inWords(name, () => runtime.createSession(bytes, { customOps: false, threads, memoryPattern: false }))
    return new ForeignModel(runtime, session, name)
  }

  /** Runs the model once and gives one float32 output. An abort ends it before its next operator. */
  async run(feeds: readonly Feed[], output: { name: string; shape: readonly number[] }, signal: AbortSignal): Promise<Float32Array> {
    const values = new Map(feeds.map(({ name, dtype, shape }) => [`in ${name}`, { dtype, shape: [...shape] }]))
    using buffers = new Buffers(this.#runtime, new Map([...values, [output.name, { dtype: 'f32', shape: [...output.shape] }]]))
    return await inWords(this.name, async () => {
      const binding = this.#session.createBinding()
      try {
        for (const { name, data } of feeds) {
          buffers.write(`in ${name}`, data)
          binding.bindInput(name, buffers.get(`in ${name}`))
        }
        binding.bindOutput(output.name, buffers.get(output.name))
        await binding.run(signal)
      } finally {
        binding.dispose()
      }
      return buffers.floats(output.name)
    })
  }

  [Symbol.dispose](): void {
    this.#session.dispose()
  }
}

/** What the native side says of a foreign model, as a sentence; what a caller must know by itself (memory, an abort) stays what it is. */
async function inWords<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isNativeError(error) || error.code === 'OutOfMemory' || error.code === 'Aborted' || error.code === 'LoadError') throw error
    const why = error.message.split('\n')[0]!.slice(0, 300)
    throw new StudioError(
      'corrupt-file',
      `"${name}" cannot be run (${why}). Check that it is the model it should be, exported for ONNX Runtime.`,
      {
        cause: error,
      },
    )
  }
}
