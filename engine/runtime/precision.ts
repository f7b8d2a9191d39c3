import type { Recipe } from '#contracts/recipe.ts'
import type { NativeRuntime, SessionOptions } from '#native-ops/binding.ts'
import type { Precision } from '../graph/graph-builder.ts'

/** How a recipe's networks are computed on a device. On a GPU the states of a scan are kept as close as its gradient works. */
export function precisionOf({ device }: Pick<NativeRuntime, 'device'>, { precision }: Pick<Recipe, 'precision'>): Precision {
  if (device === 'cpu') return {}
  return { compute: precision === 'f32' ? 'f32' : 'bf16', scanChunk: 16 }
}

/** For programs that run over and over with the same memory: on a GPU they are recorded once and replayed. */
export const repeated: SessionOptions = { cudaGraph: true }
