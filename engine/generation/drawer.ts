import type { GenerationRequest } from '#contracts/gallery.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { sizeOf } from '../graph/shape.ts'
import { normal, streams } from '../random/philox.ts'
import { Buffers } from '../runtime/buffers.ts'
import type { DeviceTensor, NativeRuntime } from '../runtime/native.ts'
import { precisionOf, repeated } from '../runtime/precision.ts'
import { Program } from '../runtime/program.ts'
import { samplers } from '../samplers/ode.ts'
import { uniformTimes, type Evaluation } from '../samplers/sampler.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { drawingStages } from './drawing-graph.ts'

export type DrawSettings = Pick<GenerationRequest, 'steps' | 'sampler' | 'cfgScale' | 'negativePrompt'>

export interface DrawnPicture {
  /** [C, H, W], data in [-1, 1] */ values: Float32Array
}

/** `prepare`: what depends on weights and prompts, and on the times of the next `evaluations`. `step`: the rest of an evaluation and the move that it makes. */
interface Programs {
  prepare: Program | null
  step: Program
  evaluations: number
}

/** What is written before they run and the pictures; what is prepared. */
interface Memory {
  inputs: Buffers
  prepared: Buffers
}

/** Draws pictures with one set of weights, `batchSize` at a time. Weights are read where they lie: training may change them between calls. */
export class Drawer implements Disposable {
  readonly batchSize: number
  readonly #recipe: Recipe
  readonly #tokenizer: Tokenizer | null
  readonly #programs: Programs
  readonly #memory: Memory
  /** The pictures that the network sees next. */
  readonly #seen: DeviceTensor
  /** What is given back with the drawer. */
  readonly #held: DisposableStack

  private constructor(
    { recipe, tokenizer, batchSize }: { recipe: Recipe; tokenizer: Tokenizer | null; batchSize: number },
    programs: Programs,
    memory: Memory,
    held: DisposableStack,
  ) {
    this.batchSize = batchSize
    this.#recipe = recipe
    this.#tokenizer = tokenizer
    this.#programs = programs
    this.#memory = memory
    this.#seen = memory.inputs.view('pictures', 0, memory.inputs.get('pictures').shape.slice(1))
    this.#held = held
  }

  /** Rejects with OutOfMemory where device or host cannot hold what drawing takes, and then holds nothing. */
  static async create(
    runtime: NativeRuntime,
    recipe: Recipe,
    weights: ReadonlyMap<string, DeviceTensor>,
    { tokenizer, batchSize, ...wish }: { tokenizer: Tokenizer | null; batchSize: number; guided: boolean },
  ): Promise<Drawer> {
    using held = new DisposableStack()
    const guided = wish.guided && tokenizer !== null
    const stages = drawingStages(recipe, { batchSize, guided, ...precisionOf(runtime, recipe) })
    const prepare = stages.prepare && held.use(await Program.compile(runtime, stages.prepare))
    const step = held.use(await Program.compile(runtime, stages.step, 'native', repeated))
    const prepared = held.use(new Buffers(runtime, stages.prepare?.outputs ?? new Map()))
    const written = new Map([...(stages.prepare?.inputs ?? []), ...stages.step.inputs].filter(([name]) => !prepared.tensors.has(name)))
    const inputs = held.use(new Buffers(runtime, written))

    const given = new Map([...weights, ...inputs.tensors, ...prepared.tensors])
    prepare?.bind(given, prepared.tensors)
    step.bind(given, new Map(['pictures', 'evaluation'].map((name) => [`next/${name}`, inputs.get(name)])))
    await step.record() // before there are pictures: the run that is recorded would move them twice
    const { evaluations } = stages
    return new Drawer({ recipe, tokenizer, batchSize }, { prepare, step, evaluations }, { inputs, prepared }, held.move())
  }

  /** One picture a prompt, picture i from the noise of seeds[i] alone: it does not depend on its neighbors. At most `batchSize` of them. */
  async draw(
    prompts: readonly string[],
    seeds: readonly number[],
    settings: DrawSettings,
    { signal, onStep }: { signal?: AbortSignal; onStep?: (step: number) => void } = {},
  ): Promise<DrawnPicture[]> {
    const { inputs } = this.#memory
    const { prepare, step, evaluations } = this.#programs
    const size = sizeOf(this.#seen.shape.slice(1))
    const noise = new Float32Array(2 * this.batchSize * size)
    seeds.forEach((seed, i) => noise.set(normal(size, { seed, stream: streams.sampling }), i * size))
    inputs.write('pictures', noise.copyWithin(noise.length / 2, 0))
    this.#writePrompts(prompts, settings)

    const all = samplers[settings.sampler](uniformTimes(settings.steps))
    let steps = 0
    for (let first = 0; first < all.length; first += evaluations) {
      const next = all.slice(first, first + evaluations)
      this.#writeEvaluations(next)
      if (first === 0 || evaluations > 1) await prepare?.run(signal)
      for (const { endsStep } of next) {
        signal?.throwIfAborted()
        await step.run(signal)
        if (endsStep) onStep?.(steps++)
      }
    }
    const drawn = new Float32Array(this.#seen.read().buffer)
    return prompts.map((_, i) => ({ values: drawn.slice(i * size, (i + 1) * size) }))
  }

  /** Bytes that a drawing takes, beside weights and libraries. */
  heldBytes(): number {
    const { inputs, prepared } = this.#memory
    return inputs.sizeBytes + prepared.sizeBytes + this.#programs.step.memory().peakBytes
  }

  [Symbol.dispose](): void {
    this.#held.dispose()
  }

  /** Times and moves of the next evaluations, of which the first is number 0. */
  #writeEvaluations(next: readonly Evaluation[]): void {
    const { inputs } = this.#memory
    const t = new Float32Array(sizeOf(inputs.get('t').shape))
    const moves = new Float32Array(sizeOf(inputs.get('moves').shape))
    const rows = t.length / this.#programs.evaluations
    for (const [i, { time, ahead, advance }] of next.entries()) {
      t.fill(time, i * rows, (i + 1) * rows)
      moves.set([ahead, advance], 2 * i)
    }
    inputs.write('t', t)
    inputs.write('moves', moves)
    inputs.write('evaluation', new Float32Array(1))
  }

  #writePrompts(prompts: readonly string[], { negativePrompt, cfgScale }: DrawSettings): void {
    const { inputs } = this.#memory
    if (inputs.tensors.has('cfgScale')) inputs.write('cfgScale', Float32Array.of(cfgScale))
    const { textEncoder } = this.#recipe
    if (!this.#tokenizer || !textEncoder) return
    const tokens = textEncoder.tokens
    const ids = new Int32Array(inputs.get('ids').shape[0]! * tokens)
    const put = (row: number, text: string) => ids.set(this.#tokenizer!.encode(text, tokens), row * tokens)
    prompts.forEach((prompt, i) => put(i, prompt))
    if (ids.length > this.batchSize * tokens) for (let i = 0; i < this.batchSize; i++) put(this.batchSize + i, negativePrompt)
    inputs.write('ids', ids)
  }
}
