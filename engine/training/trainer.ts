import type { Recipe } from '#contracts/recipe.ts'
import type { DeviceTensor, NativeRuntime } from '../runtime/native.ts'
import type { TrainingState } from '../checkpoint/training-state.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Value } from '../graph/value.ts'
import { initialParameters } from '../models/initialization.ts'
import { emaDecayAt, learningRateAt } from '../optim/schedule.ts'
import { copyName, hyperValues, trainedCopies, trainStep, updatedName } from '../optim/train-step.ts'
import { Buffers } from '../runtime/buffers.ts'
import { Program } from '../runtime/program.ts'
import type { Batch } from './batch.ts'
import { lossGraph } from './loss-graph.ts'

export interface StepResult {
  loss: number
  gradNorm: number
  learningRate: number
}

/** The weights of a model in training, their moments and moving average, and the compiled step that changes them in place. */
export class Trainer implements Disposable {
  readonly #recipe: Recipe
  readonly #program: Program
  readonly #parameters: ReadonlyMap<string, Value>
  readonly #weights: Buffers
  readonly #copies: Buffers
  readonly #inputs: Buffers
  readonly #outputs: Buffers

  private constructor(
    recipe: Recipe,
    program: Program,
    parameters: ReadonlyMap<string, Value>,
    memory: { weights: Buffers; copies: Buffers; inputs: Buffers; outputs: Buffers },
  ) {
    this.#recipe = recipe
    this.#program = program
    this.#parameters = parameters
    this.#weights = memory.weights
    this.#copies = memory.copies
    this.#inputs = memory.inputs
    this.#outputs = memory.outputs
  }

  /** Compiles the step and fills the weights: from `resumed`, or by the initialization of the recipe's seed. */
  static async create(runtime: NativeRuntime, recipe: Recipe, resumed: TrainingState['tensors'] | null): Promise<Trainer> {
    const { graph, loss } = lossGraph(recipe, recipe.batchSize, { training: true })
    const parameters = new Map(graph.parameters)
    const batchInputs = [...graph.inputs.keys()]
    trainStep(graph, loss)
    const program = await Program.compile(runtime, graph)
    const weights = new Buffers(runtime, parameters)
    const copies = new Buffers(
      runtime,
      new Map(trainedCopies.flatMap((copy) => [...parameters].map(([name, value]) => [copyName(copy, name), value] as const))),
    )
    const scalars = new Map(['loss', 'gradNorm'].map((name) => [name, graph.outputs.get(name)!]))
    const inputs = new Buffers(runtime, new Map([...batchInputs, 'hyper'].map((name) => [name, graph.inputs.get(name)!])))
    const outputs = new Buffers(runtime, scalars)

    const state = new Map([...weights.tensors, ...copies.tensors])
    const updated = new Map([...state].map(([name, tensor]) => [updatedName(name), tensor]))
    program.bind(new Map([...state, ...inputs.tensors]), new Map([...updated, ...outputs.tensors]))

    const trainer = new Trainer(recipe, program, parameters, { weights, copies, inputs, outputs })
    if (resumed) trainer.#restore(resumed)
    else trainer.#initialize(initialParameters(graph, recipe.seed, recipe.model.depth))
    return trainer
  }

  get parameterCount(): number {
    return [...this.#parameters.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  }

  /** Bytes of weights, moments and moving average. */
  get stateBytes(): number {
    return this.#weights.sizeBytes + this.#copies.sizeBytes
  }

  get weights(): ReadonlyMap<string, DeviceTensor> {
    return this.#weights.tensors
  }

  /** The moving average under the parameters' own names. */
  get averagedWeights(): ReadonlyMap<string, DeviceTensor> {
    return new Map([...this.#parameters.keys()].map((name) => [name, this.#copies.get(copyName('ema', name))]))
  }

  /** One update, the step counted from 1. Not-finite gradients change nothing; the caller sees them in `gradNorm`. */
  async step(step: number, { images, ids }: Batch): Promise<StepResult> {
    const { optimizer, batchSize, seed } = this.#recipe
    const learningRate = learningRateAt(this.#recipe, step)
    this.#inputs.write('images', images)
    if (ids) this.#inputs.write('ids', ids)
    this.#inputs.write('seed', BigInt64Array.of(BigInt(seed)))
    this.#inputs.write('step', BigInt64Array.of(BigInt(step)))
    this.#inputs.write(
      'sample',
      BigInt64Array.from({ length: batchSize }, (_, i) => BigInt(i)),
    )
    this.#inputs.write('hyper', hyperValues({ ...optimizer, learningRate, emaDecay: emaDecayAt(optimizer.emaDecay, step), step }))
    await this.#program.run()
    return { loss: this.#outputs.floats('loss')[0]!, gradNorm: this.#outputs.floats('gradNorm')[0]!, learningRate }
  }

  /** A copy of everything that training keeps. */
  capture(): TrainingState['tensors'] {
    const shapeOf = (name: string) => this.#parameters.get(name.replace(/^(m|v|ema)\//, ''))!.shape
    return new Map(
      [this.#weights, this.#copies].flatMap((buffers) =>
        [...buffers.tensors.keys()].map((name) => [name, { values: buffers.floats(name), shape: shapeOf(name) }] as const),
      ),
    )
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
    for (const memory of [this.#weights, this.#copies, this.#inputs, this.#outputs]) memory[Symbol.dispose]()
  }

  #initialize(values: ReadonlyMap<string, Float32Array>): void {
    for (const [name, data] of values) {
      this.#weights.write(name, data)
      this.#copies.write(copyName('ema', name), data)
    }
  }

  #restore(tensors: TrainingState['tensors']): void {
    for (const buffers of [this.#weights, this.#copies]) {
      for (const name of buffers.tensors.keys()) {
        const stored = tensors.get(name)
        if (!stored) throw new TypeError(`the checkpoint has no tensor "${name}"`)
        buffers.write(name, stored.values)
      }
    }
  }
}
