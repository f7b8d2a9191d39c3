import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { GraphBuilder, Precision } from '../graph/graph-builder.ts'
import { joinFewRows } from '../lowering/join-halves.ts'
import { gradientStep, trainStep } from '../optim/train-step.ts'
import { joinBlocks } from './join-blocks.ts'
import { lossGraph, pictureForm } from './loss-graph.ts'

/** How many pictures of a recipe's batch are in memory at once. @throws StudioError invalid-request when the batch is not a multiple. */
export function microBatchOf({ batchSize, microBatch }: Pick<Recipe, 'batchSize' | 'microBatch'>): number {
  if (microBatch === null || microBatch >= batchSize) return batchSize
  if (batchSize % microBatch !== 0)
    throw new StudioError(
      'invalid-request',
      `A batch of ${batchSize} cannot be trained in pieces of ${microBatch}: "microBatch" must divide "batchSize". Choose ${divisors(batchSize).find((n) => n <= microBatch)}.`,
    )
  return microBatch
}

/** Divisors of a number, largest first. */
export function divisors(n: number): number[] {
  return Array.from({ length: n }, (_, i) => n - i).filter((d) => n % d === 0)
}

/** What runs for every step of a recipe: the whole step or, where a batch is trained in pieces, one piece of it. */
export function trainGraph(recipe: Recipe, precision: Precision): GraphBuilder {
  const size = microBatchOf(recipe)
  const { graph, loss } = lossGraph(recipe, size, { training: true, pictures: pictureForm(recipe), ...precision })
  joinBlocks(graph)
  joinFewRows(graph)
  if (size === recipe.batchSize) trainStep(graph, loss, recipe.recompute)
  else gradientStep(graph, loss, { share: size / recipe.batchSize, recompute: recipe.recompute })
  return graph
}
