import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { NativeRuntime, SessionOptions } from '#native-ops/binding.ts'
import type { Precision } from '../graph/graph-builder.ts'
import type { DType } from '../graph/value.ts'

/** Compute capability, times ten, from which on a GPU multiplies bfloat16. */
const firstWithBfloat16 = 80

/**
 * How a recipe's networks are computed on a device. On a GPU the states of a scan are kept as close as its gradient works. A device that is only
 * thought of, without `describeGpu`, is a recent one.
 *
 * @throws StudioError invalid-request for bfloat16 on a GPU that has none.
 */
export function precisionOf(
  place: Pick<NativeRuntime, 'device'> & { describeGpu?: () => { name: string; computeCapability: number } | null },
  { precision }: Pick<Recipe, 'precision'>,
): Precision {
  if (place.device === 'cpu') return {}
  const gpu = place.describeGpu?.()
  return { compute: computeType(precision, gpu ?? { name: 'GPU', computeCapability: firstWithBfloat16 }), scanChunk: 16, sumsInOrder: true }
}

function computeType(precision: Recipe['precision'], { name, computeCapability }: { name: string; computeCapability: number }): DType {
  const hasBfloat16 = computeCapability >= firstWithBfloat16
  if (precision === 'auto') return hasBfloat16 ? 'bf16' : 'f16'
  if (precision === 'bf16' && !hasBfloat16)
    throw new StudioError(
      'invalid-request',
      `The recipe asks for bfloat16, and ${name} has compute capability ${(computeCapability / 10).toFixed(1)}: bfloat16 needs 8.0. Set "precision" to "auto" or "f16".`,
    )
  return precision
}

/** For programs that run over and over with the same memory: on a GPU they are recorded once and replayed. */
export const repeated: SessionOptions = { cudaGraph: true }
