import type { GraphBuilder } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'

/** How the factor on the loss follows its gradients (Micikevicius et al., Mixed Precision Training, section 3.2). */
export interface LossScaling {
  /** Steps in a row with finite gradients after which the factor doubles. */
  growAfter: number
}

export const firstScale = 2 ** 16
const largestScale = 2 ** 24

/**
 * What scaling keeps between steps, each one number: the factor on the loss, the good steps since it last changed, and the updates made, which are
 * the steps that were not skipped.
 */
export const scalingState = { scale: 'scaling/scale', goodSteps: 'scaling/goodSteps', updates: 'scaling/updates' } as const

/** 16 bits of float16 end at 65504 and at 6e-8: gradients fit only near the middle. bfloat16 has the range of float32. */
export function defaultScaling(g: Pick<GraphBuilder, 'compute'>): LossScaling | null {
  return g.compute === 'f16' ? { growAfter: 2000 } : null
}

/** The loss times the factor: every gradient is then that many times as large. */
export function scaledLoss(g: GraphBuilder, loss: Value): Value {
  return g.mul(g.reshape(loss, [1]), g.input(scalingState.scale, [1]))
}

/**
 * Reads the norm of scaled gradients and `hyper`; decides in the graph, so that a recorded step stays one. Outputs the new state: a norm that is not
 * finite halves the factor and counts as no update. Bias correction counts updates, not steps: `hyper` comes back with their number.
 *
 * The state is updated in place. Whatever else reads one of its values stands before the norm's verdict or is read by what is written there.
 */
export function followGradients(
  g: GraphBuilder,
  { norm, hyper }: { norm: Value; hyper: Value },
  { growAfter }: LossScaling,
): { inverse: Value; gradNorm: Value; hyper: Value } {
  const scale = g.inputs.get(scalingState.scale) ?? g.input(scalingState.scale, [1])
  const inverse = g.reciprocal(scale)
  const gradNorm = g.mul(norm, inverse)
  // False for infinity and for what is not a number.
  const good = g.less(gradNorm, g.floats([Infinity], [1]))
  const goodSteps = g.add(g.input(scalingState.goodSteps, [1]), g.scalar(1))
  const update = g.add(g.input(scalingState.updates, [1]), g.scalar(1))
  const rest = g.less(goodSteps, g.floats([growAfter], [1]))
  const one = g.floats([1], [1])
  const grown = g.where(rest, one, g.where(g.less(scale, g.floats([largestScale], [1])), g.floats([2], [1]), one))
  g.output(`${scalingState.scale}'`, g.mul(scale, g.where(good, grown, g.floats([0.5], [1]))))
  g.output(`${scalingState.goodSteps}'`, g.where(good, g.where(rest, goodSteps, g.floats([0], [1])), g.floats([0], [1])))
  g.output(`${scalingState.updates}'`, g.where(good, update, g.sub(update, one)))
  const isStep = [0, 0, 0, 0, 0, 0, 0, 1]
  const others = g.mul(
    hyper,
    g.floats(
      isStep.map((x) => 1 - x),
      [8],
    ),
  )
  return { inverse, gradNorm, hyper: g.add(others, g.mul(update, g.floats(isStep, [8]))) }
}

export function isScaling(name: string): boolean {
  return Object.values(scalingState).some((one) => one === name)
}
