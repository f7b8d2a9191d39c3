import { expect, test } from 'vitest'
import { weightLike } from '#engine/bench-inputs.ts'
import { Drawer } from '#engine/generation/drawer.ts'
import { drawingGraph } from '#engine/generation/drawing-graph.ts'
import { presets } from '#engine/presets.ts'
import { relativeError } from '#engine/relative-error.ts'
import { Buffers } from '#engine/runtime/buffers.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'
import { fitTokenizer, Tokenizer } from '#engine/text/tokenizer.ts'
import { openRuntime } from '#native-ops/load.ts'

const recipe = { ...presets.find(({ name }) => name === 'tiny')!.recipe, precision: 'f32' } as const
const prompts = ['a red cat', 'two birds']
const tokenizer = new Tokenizer(fitTokenizer(prompts, recipe.textEncoder!.vocabularySize))
const size = { batchSize: 2, guided: true }
const { parameters } = drawingGraph(recipe, size)

/** Two drawings in a row of the same pictures, by weights that let small differences be small. */
async function drawnTwice(runtime: NativeRuntime, sampler: 'euler' | 'heun'): Promise<Float32Array[]> {
  using memory = new Buffers(runtime, parameters)
  for (const [name, { shape }] of parameters) memory.write(name, weightLike(name, shape, recipe.model.depth))
  using drawer = await Drawer.create(runtime, recipe, memory.tensors, { ...size, tokenizer })
  const drawn: Float32Array[] = []
  for (let time = 0; time < 2; time++) {
    const pictures = await drawer.draw(prompts, [3, 8], { steps: 20, sampler, cfgScale: 2, negativePrompt: '' })
    drawn.push(Float32Array.from(pictures.flatMap(({ values }) => [...values])))
  }
  return drawn
}

// The fourth evaluation is recorded and the others replayed: pictures, times and moves must be those of each of them.
test.each(['euler', 'heun'] as const)(
  '%s draws on a GPU what it draws on the processor, and the same bits again',
  async (sampler) => {
    const [onGpu, again] = await drawnTwice(openRuntime({ device: 'cuda' }), sampler)
    const [expected] = await drawnTwice(openRuntime(), sampler)
    expect(relativeError(onGpu!, expected!)).toBeLessThan(1e-4)
    expect(again).toEqual(onGpu)
  },
  120_000,
)
