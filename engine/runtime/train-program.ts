import type { DeviceTensor, NativeRuntime, SessionMemory, SessionOptions } from '#native-ops/binding.ts'
import type { Graph } from '../graph/value.ts'
import { defaultScaling, firstScale, scalingState, type LossScaling } from '../optim/loss-scaling.ts'
import {
  copyName,
  shadowGraph,
  hyperValues,
  sumName,
  sumsOf,
  trainedCopies,
  trainedOf,
  updatedName,
  updateGraph,
  type Hyper,
  type TrainedCopy,
} from '../optim/train-step.ts'
import { placeOf, shadowsOf } from '../optim/trained.ts'
import { Buffers } from './buffers.ts'
import { Program } from './program.ts'

export interface StepResult {
  loss: number
  /** Norm of all gradients together, before clipping. Not finite: the step changed nothing but the scale of the loss. */
  gradNorm: number
  /** The factor on the loss of the next step; null where losses are not scaled. */
  lossScale: number | null
}

/**
 * A graph that ends in a train step (see `trainStep`), compiled, with its state in memory: weights, both moments and the moving average are
 * one arena each, updated in place. A step copies no weight: only the batch goes in, only loss and gradient norm come out.
 */
export class TrainProgram implements Disposable {
  /** The trained tensors by parameter name; all zero at first. */
  readonly weights: Buffers
  readonly copies: Readonly<Record<TrainedCopy, Buffers>>
  /** All that a step changes: weights under their names, copies under `m/…`, `v/…` and `ema/…`, what scales the loss under `scaling/…`. */
  readonly state: ReadonlyMap<string, DeviceTensor>
  /** The inputs of the graph that are neither weights nor the optimizer's: written before each step. */
  readonly batch: Buffers
  readonly #scaling: Buffers | null
  /** Weights in the type of computation, where that has fewer bits. */
  readonly #shadows: Buffers
  /** Makes them of the weights that were written; null once the first step has begun. */
  #shadowing: Program | null
  readonly #hyper: Buffers
  readonly #results: Buffers
  readonly #program: Program
  /** The update, where `#program` only adds up gradients. */
  readonly #update: Program | null
  readonly #sums: Buffers | null

  private constructor(runtime: NativeRuntime, g: Graph, program: Program, update: Program | null, shadowing: Program | null) {
    this.#program = program
    this.#update = update
    this.#shadowing = shadowing
    this.#shadows = new Buffers(runtime, shadowsOf(g))
    const trained = trainedOf((update ?? program).reads)
    const neighbors = [...trained.keys()].map((name) => placeOf(name).parameters).filter(({ length }) => length > 1)
    const likeWeights = () => new Buffers(runtime, g.parameters, neighbors)
    this.weights = likeWeights()
    this.copies = { m: likeWeights(), v: likeWeights(), ema: likeWeights() }
    const views = [...trained].flatMap(([name, { shape }]) => {
      if (g.parameters.has(name)) return []
      const { parameters, row } = placeOf(name)
      const viewOf = (memory: Buffers) => memory.view(parameters[0]!, row, shape)
      return [
        [name, viewOf(this.weights)] as const,
        ...trainedCopies.map((copy) => [copyName(copy, name), viewOf(this.copies[copy])] as const),
      ]
    })
    const state = new Map(this.weights.tensors)
    for (const copy of trainedCopies) for (const [name, tensor] of this.copies[copy].tensors) state.set(copyName(copy, name), tensor)
    const scaled = g.inputs.get(scalingState.scale)
    this.#scaling = scaled ? new Buffers(runtime, new Map(Object.values(scalingState).map((name) => [name, scaled]))) : null
    for (const [name, tensor] of this.#scaling?.tensors ?? []) state.set(name, tensor)
    this.#scaling?.write(scalingState.scale, Float32Array.of(firstScale))
    this.state = state
    const sums = [...sumsOf(g)].map(([name, value]) => [sumName(name), value] as const)
    this.#sums = update ? new Buffers(runtime, new Map(sums)) : null
    const kept = new Map([...state, ...views, ...this.#shadows.tensors, ...(this.#sums?.tensors ?? [])])
    const inputs = [...program.reads].filter(([name]) => !kept.has(name))
    this.#hyper = new Buffers(runtime, new Map([...(update ?? program).reads].filter(([name]) => name === 'hyper')))
    this.batch = new Buffers(runtime, new Map(inputs.filter(([name]) => name !== 'hyper')))
    const updated = new Map([...kept].map(([name, tensor]) => [updatedName(name), tensor]))
    const writes = [...program.writes, ...(update?.writes ?? [])]
    this.#results = new Buffers(runtime, new Map(writes.filter(([name]) => !updated.has(name))))
    const [reads, results] = [
      new Map([...kept, ...this.#hyper.tensors, ...this.batch.tensors]),
      new Map([...updated, ...this.#results.tensors]),
    ]
    for (const one of [program, update, shadowing]) one?.bind(reads, results)
  }

  /** Bytes of weights, moments, moving average and shadows. */
  get stateBytes(): number {
    return Object.values(this.copies).reduce((sum, { sizeBytes }) => sum + sizeBytes, this.weights.sizeBytes + this.#shadows.sizeBytes)
  }

  /** Compiles a graph to which `trainStep` or `gradientStep` was applied. Rejects with ModelError or OutOfMemory. */
  static async compile(
    runtime: NativeRuntime,
    g: Graph,
    { scaling = defaultScaling(g), ...options }: SessionOptions & { scaling?: LossScaling | null } = {},
  ): Promise<TrainProgram> {
    const inPieces = g.inputs.has('carry')
    const program = await Program.compile(runtime, g, 'native', options)
    const update = inPieces ? await Program.compile(runtime, updateGraph(g, scaling), 'native', options) : null
    const shadowing = shadowsOf(g).size > 0 ? await Program.compile(runtime, shadowGraph(g)) : null
    let made: TrainProgram | null = null
    try {
      made = new TrainProgram(runtime, g, program, update, shadowing)
      if (program.isRecorded) await made.#record()
      return made
    } catch (error) {
      // Without memory for its state a program is of no use; what it holds would be missing at the next, smaller try.
      made?.[Symbol.dispose]()
      program[Symbol.dispose]()
      update?.[Symbol.dispose]()
      shadowing?.[Symbol.dispose]()
      throw error
    }
  }

  /**
   * One update with what `batch` holds, off the JavaScript thread. It cannot be cancelled halfway: either all weights change or, where the
   * gradient norm is not finite, none. Weights are written before the first step, not between steps. A batch in pieces is written piece by piece by `write`.
   */
  async step(hyper: Hyper, { pieces = 1, write }: { pieces?: number; write?: (piece: number) => void } = {}): Promise<StepResult> {
    this.#hyper.write('hyper', hyperValues(hyper))
    if (this.#shadowing) {
      await this.#shadowing.run()
      this.#shadowing[Symbol.dispose]()
      this.#shadowing = null
    }
    let loss = 0
    for (let piece = 0; piece < pieces; piece++) {
      write?.(piece)
      if (this.#update) this.batch.write('carry', Float32Array.of(piece === 0 ? 0 : 1))
      await this.#program.run()
      loss += this.#results.floats('loss')[0]! / pieces
    }
    await this.#update?.run()
    return { loss, gradNorm: this.#results.floats('gradNorm')[0]!, lossScale: this.#scaling?.floats(scalingState.scale)[0] ?? null }
  }

  /** Before there are weights: the run that is recorded would update them twice. */
  async #record(): Promise<void> {
    const harmless = { learningRate: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, emaDecay: 0.9, clipNorm: 0, step: 1 }
    this.#hyper.write('hyper', hyperValues(harmless))
    for (const program of [this.#program, this.#update]) await program?.record()
    for (const buffers of [this.weights, ...Object.values(this.copies), this.#shadows, this.#sums]) buffers?.clear()
    this.restartScaling(0)
  }

  /** Begins to scale the loss anew after so many updates, as for a state that was kept without scaling. */
  restartScaling(updates: number): void {
    this.#scaling?.write(scalingState.scale, Float32Array.of(firstScale))
    this.#scaling?.write(scalingState.goodSteps, Float32Array.of(0))
    this.#scaling?.write(scalingState.updates, Float32Array.of(updates))
  }

  /** What the step has taken beside its state. */
  memory(): SessionMemory {
    return this.#program.memory()
  }

  /** Completes the trace asked for by the option `profile`; its path. */
  endProfiling(): string {
    return this.#program.endProfiling()
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
    this.#update?.[Symbol.dispose]()
    this.#shadowing?.[Symbol.dispose]()
    for (const buffers of [
      this.weights,
      ...Object.values(this.copies),
      this.batch,
      this.#hyper,
      this.#results,
      this.#sums,
      this.#scaling,
      this.#shadows,
    ])
      buffers?.[Symbol.dispose]()
  }
}
