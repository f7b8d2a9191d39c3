import {
  runsUntilRecorded,
  type Binding,
  type DeviceTensor,
  type NativeRuntime,
  type Session,
  type SessionMemory,
  type SessionOptions,
} from '#native-ops/binding.ts'
import type { Graph, Value } from '../graph/value.ts'
import { lower, type Form } from '../lowering/lower.ts'
import { encodeModel } from '../lowering/onnx/model.ts'

/** A compiled graph with a place for every input and output. */
export class Program implements Disposable {
  /** What a run reads: inputs and parameters that the outputs depend on. */
  readonly reads: ReadonlyMap<string, Value>
  readonly writes: ReadonlyMap<string, Value>
  /** Whether it is recorded and replayed: on a GPU, where that was asked for. */
  readonly isRecorded: boolean
  readonly #session: Session
  readonly #binding: Binding

  private constructor(g: Graph, session: Session, isRecorded: boolean) {
    const declared = new Map([...g.inputs, ...g.parameters])
    this.reads = new Map(session.inputs.map(({ name }) => [name, declared.get(name)!]))
    this.writes = g.outputs
    this.#session = session
    this.#binding = session.createBinding()
    this.isRecorded = isRecorded
  }

  static async compile(runtime: NativeRuntime, g: Graph, form: Form = 'native', options: SessionOptions = {}): Promise<Program> {
    // ONNX Runtime's extended fusions know float32 on the CPU only.
    const optimization = g.float === 'f64' || runtime.device === 'cuda' ? 'basic' : 'all'
    const session = await runtime.createSession(encodeModel(lower(g, form)), { optimization, ...options, customOps: form === 'native' })
    return new Program(g, session, options.cudaGraph === true && runtime.device === 'cuda')
  }

  /** Ties inputs and outputs to memory. A tensor may be both: it is then updated in place. */
  bind(inputs: ReadonlyMap<string, DeviceTensor>, outputs: ReadonlyMap<string, DeviceTensor>): this {
    for (const name of this.reads.keys()) {
      const tensor = inputs.get(name)
      if (tensor) this.#binding.bindInput(name, tensor)
    }
    for (const name of this.writes.keys()) {
      const tensor = outputs.get(name)
      if (tensor) this.#binding.bindOutput(name, tensor)
    }
    return this
  }

  /** One run, off the JavaScript thread. */
  run(signal?: AbortSignal): Promise<void> {
    return this.#binding.run(signal)
  }

  /** Runs a program until it is recorded, where it is to be. The last of these runs is made twice: what is updated in place is updated twice. */
  async record(): Promise<void> {
    if (this.isRecorded) for (let run = 0; run < runsUntilRecorded; run++) await this.run()
  }

  /** What runs have taken between inputs and outputs. */
  memory(): SessionMemory {
    return this.#session.memory()
  }

  endProfiling(): string {
    return this.#session.endProfiling()
  }

  [Symbol.dispose](): void {
    this.#binding.dispose()
    this.#session.dispose()
  }
}
