import type { Recipe } from '#contracts/recipe.ts'
import { runBytes } from './forecast.ts'
import { median } from './median.ts'
import { initialParameters } from './models/initialization.ts'
import { presets } from './presets.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { precisionOf } from './runtime/precision.ts'
import { TrainProgram } from './runtime/train-program.ts'
import { microBatchOf, trainGraph } from './training/train-graph.ts'

export interface MemoryCase {
  name: string
  /** What a step takes beside weights, their copies and the batch: as it was foretold, as the arena counted it, and the first over the second. */
  forecastBytes: number
  measuredBytes: number
  ratio: number
  /** Weights, moments and moving average: known to the byte. */
  stateBytes: number
  medianMs: number
}

const steps = 4

/** Recipes that differ in width, depth, batch and condition, each with everything that `recompute` offers, and one batch in pieces. */
export function memoryRecipes(): { name: string; recipe: Recipe }[] {
  const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
  const wide: Recipe = { ...tiny, batchSize: 8, model: { ...tiny.model, embedDim: 256, depth: 4 } }
  const plain: Recipe = {
    ...tiny,
    textEncoder: null,
    batchSize: 16,
    model: { ...tiny.model, embedDim: 96, depth: 12, condition: { kind: 'none' } },
  }
  const named = { tiny: { ...tiny, batchSize: 16 }, wide, 'deep, no text': plain }
  return [
    ...Object.entries(named).flatMap(([name, recipe]) =>
      (['speed', 'balanced', 'memory'] as const).map((recompute) => ({ name: `${name}, ${recompute}`, recipe: { ...recipe, recompute } })),
    ),
    { name: 'tiny in 4 pieces, speed', recipe: { ...named.tiny, microBatch: 4 } },
  ]
}

/** Some steps of a recipe beside what was foretold of them. */
export async function measureMemory(runtime: NativeRuntime, name: string, recipe: Recipe): Promise<MemoryCase> {
  const graph = trainGraph(recipe, precisionOf(runtime, recipe))
  // The arena's counter tells the need where memory is not handed out from one block.
  using program = await TrainProgram.compile(runtime, graph, { memoryPattern: false })
  for (const [parameter, values] of initialParameters(graph, recipe.seed, recipe.model.depth)) program.weights.write(parameter, values)
  const pieces = recipe.batchSize / microBatchOf(recipe)
  const times: number[] = []
  for (let step = 1; step <= steps; step++) {
    const startMs = performance.now()
    await program.step({ ...recipe.optimizer, step }, { pieces })
    times.push(performance.now() - startMs)
  }
  const forecastBytes = runBytes(graph, runtime.device)
  const { peakBytes } = program.memory()
  return {
    name,
    forecastBytes,
    measuredBytes: peakBytes,
    ratio: forecastBytes / peakBytes,
    stateBytes: program.stateBytes,
    medianMs: median(times),
  }
}
