import type { GenerationRequest } from '#contracts/gallery.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { DeviceTensor, NativeRuntime } from '../runtime/native.ts'
import { normal, streams } from '../random/philox.ts'
import { Buffers } from '../runtime/buffers.ts'
import { stagesOf } from '../lowering/stages.ts'
import { precisionOf, repeated } from '../runtime/precision.ts'
import { Program } from '../runtime/program.ts'
import { guide } from '../samplers/guidance.ts'
import { samplers } from '../samplers/ode.ts'
import { uniformTimes } from '../samplers/sampler.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { promptInputs, velocityGraph } from './velocity-graph.ts'

export type DrawSettings = Pick<GenerationRequest, 'steps' | 'sampler' | 'cfgScale' | 'negativePrompt'>

export interface DrawnPicture {
  /** [C, H, W], data in [-1, 1] */ values: Float32Array
}

/** Draws pictures with one set of weights, `batchSize` at a time. Weights are read where they lie: training may change them between calls. */
export class Drawer implements Disposable {
  readonly batchSize: number
  readonly #recipe: Recipe
  readonly #tokenizer: Tokenizer | null
  /** What depends on weights and prompts alone, once a drawing. */
  readonly #prepare: Program | null
  readonly #step: Program
  readonly #inputs: Buffers
  readonly #prepared: Buffers
  readonly #outputs: Buffers

  private constructor(
    { recipe, tokenizer, batchSize }: { recipe: Recipe; tokenizer: Tokenizer | null; batchSize: number },
    { prepare, step }: { prepare: Program | null; step: Program },
    { inputs, prepared, outputs }: { inputs: Buffers; prepared: Buffers; outputs: Buffers },
  ) {
    this.#recipe = recipe
    this.#tokenizer = tokenizer
    this.batchSize = batchSize
    this.#prepare = prepare
    this.#step = step
    this.#inputs = inputs
    this.#prepared = prepared
    this.#outputs = outputs
  }

  static async create(
    runtime: NativeRuntime,
    recipe: Recipe,
    weights: ReadonlyMap<string, DeviceTensor>,
    { tokenizer, batchSize, guided }: { tokenizer: Tokenizer | null; batchSize: number; guided: boolean },
  ): Promise<Drawer> {
    const graph = velocityGraph(recipe, { batchSize, guided: guided && tokenizer !== null, ...precisionOf(runtime, recipe) })
    const stages = stagesOf(graph, promptInputs)
    const prepare = stages.prepare && (await Program.compile(runtime, stages.prepare))
    const step = await Program.compile(runtime, stages.step, 'native', repeated)
    const inputs = new Buffers(runtime, graph.inputs)
    const prepared = new Buffers(runtime, stages.prepare?.outputs ?? new Map())
    const outputs = new Buffers(runtime, graph.outputs)
    prepare?.bind(new Map([...weights, ...inputs.tensors]), prepared.tensors)
    step.bind(new Map([...weights, ...inputs.tensors, ...prepared.tensors]), outputs.tensors)
    return new Drawer({ recipe, tokenizer, batchSize }, { prepare, step }, { inputs, prepared, outputs })
  }

  /** One picture a prompt, picture i from the noise of seeds[i] alone: it does not depend on its neighbors. At most `batchSize` of them. */
  async draw(
    prompts: readonly string[],
    seeds: readonly number[],
    settings: DrawSettings,
    { signal, onStep }: { signal?: AbortSignal; onStep?: (step: number) => void } = {},
  ): Promise<DrawnPicture[]> {
    const { channels, height, width } = this.#recipe.model
    const size = channels * height * width
    const state = new Float32Array(this.batchSize * size)
    seeds.forEach((seed, i) => state.set(normal(size, { seed, stream: streams.sampling }), i * size))
    this.#writePrompts(prompts, settings.negativePrompt)
    await this.#prepare?.run(signal)

    const velocity = async (x: Float32Array, t: number): Promise<Float32Array> => {
      this.#inputs.write('image', x)
      this.#inputs.write('t', new Float32Array(this.batchSize).fill(t))
      await this.#step.run(signal)
      const out = this.#outputs.floats('velocity')
      return out.length === x.length ? out : guide(out, settings.cfgScale)
    }
    const drawn = await samplers[settings.sampler](velocity, state, {
      times: uniformTimes(settings.steps),
      ...(signal ? { signal } : {}),
      onStep: ({ step }) => onStep?.(step),
    })
    return prompts.map((_, i) => ({ values: drawn.slice(i * size, (i + 1) * size) }))
  }

  [Symbol.dispose](): void {
    this.#prepare?.[Symbol.dispose]()
    this.#step[Symbol.dispose]()
    this.#inputs[Symbol.dispose]()
    this.#prepared[Symbol.dispose]()
    this.#outputs[Symbol.dispose]()
  }

  #writePrompts(prompts: readonly string[], negativePrompt: string): void {
    const { textEncoder } = this.#recipe
    if (!this.#tokenizer || !textEncoder) return
    const tokens = textEncoder.tokens
    const ids = new Int32Array(this.#inputs.get('ids').shape[0]! * tokens)
    const put = (row: number, text: string) => ids.set(this.#tokenizer!.encode(text, tokens), row * tokens)
    prompts.forEach((prompt, i) => put(i, prompt))
    if (ids.length > this.batchSize * tokens) for (let i = 0; i < this.batchSize; i++) put(this.batchSize + i, negativePrompt)
    this.#inputs.write('ids', ids)
  }
}
