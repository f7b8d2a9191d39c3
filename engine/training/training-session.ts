import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { TrainingState } from '../checkpoint/training-state.ts'
import { deviceFault } from '../runtime/device-fault.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Batch } from './batch.ts'
import type { Examples } from './examples.ts'
import { divisors, microBatchOf } from './train-graph.ts'
import { Trainer, type StepResult } from './trainer.ts'
import { Validation } from './validation.ts'

interface Material {
  examples: Examples
  tokenizer: Tokenizer | null
  /** What training goes on from; null begins anew. */
  resumed: Pick<TrainingState, 'step' | 'tensors'> | null
}

/**
 * A trainer and its validation that make do with the memory there is: where a step finds none, everything is given back, and the same step is
 * tried again on the same weights with half as many pictures in memory at once. The batch stays what it was, so the results do.
 */
export class TrainingSession implements Disposable {
  readonly #runtime: NativeRuntime
  readonly #material: Material
  #recipe: Recipe
  #open: { trainer: Trainer; validation: Validation | null }

  private constructor(
    runtime: NativeRuntime,
    recipe: Recipe,
    material: Material,
    open: { trainer: Trainer; validation: Validation | null },
  ) {
    this.#runtime = runtime
    this.#recipe = recipe
    this.#material = material
    this.#open = open
  }

  /** @throws StudioError out-of-memory when not even one picture fits. */
  static async open(runtime: NativeRuntime, recipe: Recipe, material: Material): Promise<TrainingSession> {
    for (let tried = recipe; ;) {
      try {
        return new TrainingSession(runtime, tried, material, await create(runtime, tried, material))
      } catch (error) {
        tried = smaller(tried, error)
      }
    }
  }

  get trainer(): Trainer {
    return this.#open.trainer
  }

  get validation(): Validation | null {
    return this.#open.validation
  }

  /** Pictures that are in memory at once: fewer than the recipe asks for where there was no room for them. */
  get microBatch(): number {
    return microBatchOf(this.#recipe)
  }

  /** One update; `onSmaller` hears how many pictures are in memory at once from now on, where that had to change. */
  async step(step: number, batch: Batch, onSmaller: (microBatch: number) => void): Promise<StepResult> {
    for (;;) {
      try {
        return await this.trainer.step(step, batch)
      } catch (error) {
        const recipe = smaller(this.#recipe, error)
        // Weights change by the very last operation of a step: they are still those of the step before.
        const tensors = this.trainer.capture()
        this[Symbol.dispose]()
        const again = await TrainingSession.open(this.#runtime, recipe, { ...this.#material, resumed: { step: step - 1, tensors } })
        this.#open = again.#open
        this.#recipe = again.#recipe
        onSmaller(this.microBatch)
      }
    }
  }

  [Symbol.dispose](): void {
    this.trainer[Symbol.dispose]()
    this.validation?.[Symbol.dispose]()
  }
}

async function create(runtime: NativeRuntime, recipe: Recipe, { examples, tokenizer, resumed }: Material) {
  const trainer = await Trainer.create(runtime, recipe, resumed)
  try {
    return { trainer, validation: await Validation.create(runtime, recipe, trainer.averagedWeights, examples, tokenizer) }
  } catch (error) {
    trainer[Symbol.dispose]()
    throw error
  }
}

/** The recipe with at most half as many pictures in memory at once. @throws the error itself when it is of another kind, StudioError when one picture is too much */
function smaller(recipe: Recipe, error: unknown): Recipe {
  if (deviceFault(error) !== 'out-of-memory') throw error
  const now = microBatchOf(recipe)
  if (now === 1)
    throw new StudioError(
      'out-of-memory',
      'There is not enough memory to train on even one picture at a time. Set "recompute" to "memory", choose a smaller preset, or close other programs.',
      { cause: error },
    )
  return { ...recipe, microBatch: divisors(recipe.batchSize).find((size) => size <= now / 2)! }
}
