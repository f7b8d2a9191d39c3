import type { Baselines } from '#contracts/studio.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { DeviceTensor, NativeRuntime } from '../runtime/native.ts'
import { streams } from '../random/philox.ts'
import { Buffers } from '../runtime/buffers.ts'
import { precisionOf } from '../runtime/precision.ts'
import { Program } from '../runtime/program.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { BatchReader, type Batch } from './batch.ts'
import type { Examples } from './examples.ts'
import { lossGraph, pictureForm } from './loss-graph.ts'

/** Items that are looked at, and how many times each, with another noise and time each time. */
const itemLimit = 128
const repeats = 4
export const validationBatch = 32

/**
 * The velocity loss on items that are never trained on, always with the same noise and times, so that two numbers differ by the weights
 * alone. With fewer held-out items than a batch the batch is filled by repeating them.
 */
export class Validation implements Disposable {
  readonly #seed: number
  readonly #batches: readonly Batch[]
  readonly #program: Program
  readonly #inputs: Buffers
  readonly #outputs: Buffers

  private constructor(seed: number, batches: readonly Batch[], program: Program, inputs: Buffers, outputs: Buffers) {
    this.#seed = seed
    this.#batches = batches
    this.#program = program
    this.#inputs = inputs
    this.#outputs = outputs
  }

  static async create(
    runtime: NativeRuntime,
    recipe: Recipe,
    weights: ReadonlyMap<string, DeviceTensor>,
    examples: Examples,
    tokenizer: Tokenizer | null,
  ): Promise<Validation | null> {
    const items = heldOut(examples).slice(0, itemLimit)
    if (items.length === 0) return null
    const batchSize = Math.min(validationBatch, recipe.batchSize)
    const { graph, loss } = lossGraph(recipe, batchSize, {
      training: false,
      pictures: pictureForm(recipe),
      ...precisionOf(runtime, recipe),
    })
    graph.output('loss', loss)
    const program = await Program.compile(runtime, graph)
    const inputs = new Buffers(runtime, graph.inputs)
    const outputs = new Buffers(runtime, graph.outputs)
    program.bind(new Map([...weights, ...inputs.tensors]), outputs.tensors)
    const text = tokenizer && { tokenizer, tokens: recipe.textEncoder!.tokens }
    const batches: Batch[] = []
    for (let first = 0; first < items.length * repeats; first += batchSize) {
      const batch = Array.from({ length: batchSize }, (_, i) => items[(first + i) % items.length]!)
      batches.push(await new BatchReader(examples, batchSize, text).read(batch, null))
    }
    return new Validation(recipe.seed, batches, program, inputs, outputs)
  }

  async loss(): Promise<number> {
    let sum = 0
    for (const [i, { images, ids }] of this.#batches.entries()) {
      this.#inputs.write('images', images)
      if (ids) this.#inputs.write('ids', ids)
      this.#inputs.write('seed', BigInt64Array.of(BigInt(this.#seed) + BigInt(streams.validation) * 2n ** 40n))
      this.#inputs.write('step', BigInt64Array.of(BigInt(i)))
      this.#inputs.write(
        'sample',
        BigInt64Array.from({ length: this.#inputs.get('sample').shape[0]! }, (_, k) => BigInt(k)),
      )
      await this.#program.run()
      sum += this.#outputs.floats('loss')[0]!
    }
    return sum / this.#batches.length
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]()
    this.#inputs[Symbol.dispose]()
    this.#outputs[Symbol.dispose]()
  }
}

/** Validation items, in the order of the snapshot. */
export function heldOut({ splits }: Pick<Examples, 'splits'>): number[] {
  return splits.flatMap((split, i) => (split === 'validation' ? [i] : []))
}

/** Training items; all of them where nothing is held out. */
export function trainable({ splits }: Pick<Examples, 'splits'>): number[] {
  const items = splits.flatMap((split, i) => (split === 'train' ? [i] : []))
  return items.length > 0 ? items : splits.flatMap((split, i) => (split === null ? [] : [i]))
}

/** What an epoch shows: each training item as often as its repeats say, in the order of the snapshot. */
export function showings(examples: Pick<Examples, 'splits' | 'repeats'>): Int32Array {
  const items = trainable(examples)
  const all = new Int32Array(shownIn(items, examples))
  let end = 0
  for (const item of items) all.fill(item, end, (end += examples.repeats[item]!))
  return all
}

function shownIn(items: readonly number[], { repeats: times }: Pick<Examples, 'repeats'>): number {
  return items.reduce((sum, item) => sum + times[item]!, 0)
}

/**
 * The loss of the best constant: the mean picture of an epoch as data, nothing as noise. The velocity is data - noise, so that is the variance of
 * the held-out pictures around that mean, plus 1 for the noise.
 */
export async function constantLoss(examples: Examples): Promise<Baselines['constant']> {
  const items = heldOut(examples)
  if (items.length === 0) return null
  const { channels, height, width } = examples.shape
  const size = channels * height * width
  const values = new Float32Array(size)
  const mean = new Float64Array(size)
  const training = trainable(examples)
  const shown = shownIn(training, examples)
  for (const item of training) {
    await examples.values(item, values)
    const times = examples.repeats[item]!
    values.forEach((x, i) => (mean[i]! += (x * times) / shown))
  }
  let variance = 0
  for (const item of items) {
    await examples.values(item, values)
    values.forEach((x, i) => (variance += (x - mean[i]!) ** 2 / (size * items.length)))
  }
  return 1 + variance
}
