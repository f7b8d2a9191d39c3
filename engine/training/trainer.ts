import type { Recipe } from '#contracts/recipe.ts'
import type { TrainingState } from '../checkpoint/training-state.ts'
import { sizeOf } from '../graph/shape.ts'
import { initialParameters } from '../models/initialization.ts'
import { isScaling } from '../optim/loss-scaling.ts'
import { emaDecayAt, learningRateAt } from '../optim/schedule.ts'
import type { DeviceTensor, NativeRuntime } from '../runtime/native.ts'
import { precisionOf, repeated } from '../runtime/precision.ts'
import { TrainProgram, type StepResult as ProgramResult } from '../runtime/train-program.ts'
import type { Batch } from './batch.ts'
import type { Images } from './examples.ts'
import { microBatchOf, trainGraph } from './train-graph.ts'

export interface StepResult extends ProgramResult {
  learningRate: number
}

/** A model in training by its recipe: the compiled step, its schedules and its starting values. */
export class Trainer implements Disposable {
  readonly #recipe: Recipe
  readonly #program: TrainProgram

  private constructor(recipe: Recipe, program: TrainProgram) {
    this.#recipe = recipe
    this.#program = program
  }

  /** Compiles the step and fills the weights: from `resumed`, or by the initialization of the recipe's seed. */
  static async create(runtime: NativeRuntime, recipe: Recipe, resumed: Pick<TrainingState, 'step' | 'tensors'> | null): Promise<Trainer> {
    const graph = trainGraph(recipe, precisionOf(runtime, recipe))
    const trainer = new Trainer(recipe, await TrainProgram.compile(runtime, graph, repeated))
    try {
      if (resumed) trainer.#restore(resumed)
      else trainer.#initialize(initialParameters(graph, recipe.seed, recipe.model.depth))
    } catch (error) {
      trainer[Symbol.dispose]()
      throw error
    }
    return trainer
  }

  get parameterCount(): number {
    return [...this.weights.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  }

  get stateBytes(): number {
    return this.#program.stateBytes
  }

  get weights(): ReadonlyMap<string, DeviceTensor> {
    return this.#program.weights.tensors
  }

  /** The moving average under the parameters' own names. */
  get averagedWeights(): ReadonlyMap<string, DeviceTensor> {
    return this.#program.copies.ema.tensors
  }

  /** One update, the step counted from 1. Not-finite gradients change no weight; the caller sees them in `gradNorm`. */
  async step(step: number, { images, ids }: Batch): Promise<StepResult> {
    const { optimizer, batchSize, seed } = this.#recipe
    const size = microBatchOf(this.#recipe)
    const learningRate = learningRateAt(this.#recipe, step)
    const { batch } = this.#program
    batch.write('seed', BigInt64Array.of(BigInt(seed)))
    batch.write('step', BigInt64Array.of(BigInt(step)))
    const pieceOf = <T extends Images | Int32Array>(values: T, piece: number) => {
      const perPiece = (values.length / batchSize) * size
      return values.subarray(piece * perPiece, (piece + 1) * perPiece)
    }
    const write = (piece: number) => {
      batch.write('images', pieceOf(images, piece))
      if (ids) batch.write('ids', pieceOf(ids, piece))
      // Counted over the whole batch: what is drawn for a picture does not depend on how the batch is cut.
      batch.write(
        'sample',
        BigInt64Array.from({ length: size }, (_, i) => BigInt(piece * size + i)),
      )
    }
    const hyper = { ...optimizer, learningRate, emaDecay: emaDecayAt(optimizer.emaDecay, step), step }
    const result = await this.#program.step(hyper, { pieces: batchSize / size, write })
    return { ...result, learningRate }
  }

  /** A copy of everything that training keeps. */
  capture(): TrainingState['tensors'] {
    return new Map(
      [...this.#program.state].map(([name, tensor]) => [name, { values: new Float32Array(tensor.read().buffer), shape: tensor.shape }]),
    )
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
  }

  #initialize(values: ReadonlyMap<string, Float32Array>): void {
    for (const [name, data] of values) {
      this.#program.weights.write(name, data)
      this.#program.copies.ema.write(name, data)
    }
  }

  #restore({ step, tensors }: Pick<TrainingState, 'step' | 'tensors'>): void {
    this.#program.restartScaling(step)
    for (const [name, tensor] of this.#program.state) {
      const stored = tensors.get(name)
      if (!stored && isScaling(name)) continue // kept by a run on a device that needs none
      if (!stored) throw new TypeError(`the checkpoint has no tensor "${name}"`)
      tensor.write(stored.values)
    }
  }
}
