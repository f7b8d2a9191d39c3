import type { Recipe } from '#contracts/recipe.ts'

/** The learning rate of a step counted from 1: a linear warm-up, then constant or a half cosine down to 0 at the recipe's last step. */
export function learningRateAt({ optimizer, steps }: Pick<Recipe, 'optimizer' | 'steps'>, step: number): number {
  const { learningRate, warmupSteps, schedule } = optimizer
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  if (schedule === 'constant') return learningRate
  const along = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps))
  return learningRate * 0.5 * (1 + Math.cos(Math.PI * along))
}

/** The moving average follows quickly at first, when its start is worth nothing: min(decay, (1 + step) / (10 + step)). */
export function emaDecayAt(decay: number, step: number): number {
  return Math.min(decay, (1 + step) / (10 + step))
}
