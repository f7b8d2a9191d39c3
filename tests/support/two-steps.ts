import type { Recipe } from '#contracts/recipe.ts'
import { joinFewRows } from '#engine/lowering/join-halves.ts'
import { initialParameters } from '#engine/models/initialization.ts'
import { trainStep } from '#engine/optim/train-step.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { joinBlocks } from '#engine/training/join-blocks.ts'
import { lossGraph } from '#engine/training/loss-graph.ts'
import { numbers, runtime } from './differences.ts'

/** Two steps of a recipe as it is trained, or with products `apart` that are joined where rows are few: losses and gradient norms, all weights afterwards, and what the steps took beside inputs and outputs. */
export async function twoSteps(recipe: Recipe, policy: Recipe['recompute'], { apart = false }: { apart?: boolean } = {}) {
  const { graph, loss } = lossGraph(recipe, recipe.batchSize, { training: true })
  joinBlocks(graph)
  if (!apart) joinFewRows(graph)
  trainStep(graph, loss, policy)
  using program = await TrainProgram.compile(runtime, graph, { memoryPattern: false })
  for (const [name, values] of initialParameters(graph, 1, recipe.model.depth)) {
    const shaken = numbers(values.length, { seed: name.length, low: -0.05, high: 0.05 }) // gates and last layers begin at 0, which would hide mistakes
    program.weights.write(
      name,
      values.map((x, i) => x + shaken[i]!),
    )
  }
  program.batch.write('images', Float32Array.from(numbers(recipe.batchSize * 3 * recipe.model.height ** 2, { seed: 3 })))
  if (recipe.textEncoder)
    program.batch.write(
      'ids',
      Int32Array.from({ length: recipe.batchSize * recipe.textEncoder.tokens }, (_, i) => i % 60),
    )
  program.batch.write(
    'sample',
    BigInt64Array.from({ length: recipe.batchSize }, (_, i) => BigInt(i)),
  )
  const results = []
  for (const step of [1, 2]) results.push(await program.step({ ...recipe.optimizer, step }))
  return {
    results,
    weights: Object.fromEntries([...program.weights.tensors.keys()].map((name) => [name, program.weights.floats(name)])),
    peakBytes: program.memory().peakBytes,
  }
}
