import { backward } from '../autodiff/backward.ts'
import type { RecomputePolicy } from '../autodiff/recompute.ts'
import { GraphBuilder } from '../graph/graph-builder.ts'
import type { Graph, Value } from '../graph/value.ts'
import { defaultScaling, followGradients, scaledLoss, type LossScaling } from './loss-scaling.ts'

/** The numbers of one update, in the order of the operation's `hyper` input. */
export interface Hyper {
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
  weightDecay: number
  emaDecay: number
  /** Largest norm of all gradients together; 0 does not clip. */
  clipNorm: number
  /** Counted from 1. */
  step: number
}

export function hyperValues({ learningRate, beta1, beta2, epsilon, weightDecay, emaDecay, clipNorm, step }: Hyper): Float32Array {
  return Float32Array.of(learningRate, beta1, beta2, epsilon, weightDecay, emaDecay, clipNorm, step)
}

/** Copies of every parameter that training keeps: both moments of AdamW and the moving average. */
export const trainedCopies = ['m', 'v', 'ema'] as const
export type TrainedCopy = (typeof trainedCopies)[number]

/** The name that a copy of a parameter, or its updated value, has among inputs and outputs. */
export const copyName = (copy: TrainedCopy, parameter: string): string => `${copy}/${parameter}`

/** Weights of products and convolutions decay; biases, norms, A_log and D do not. */
export function decays(name: string, value: Value): boolean {
  return value.shape.length >= 2 && !/(^|\.)(A(_b)?_log|pos_embed|embedding_table\.weight)$/.test(name)
}

/**
 * Appends one training step to a graph that ends in `loss`: gradients of all parameters, their common norm, and one AdamW update of every
 * parameter with its moments and its moving average. Inputs `hyper` [8] and, for each parameter, `m/…`, `v/…`, `ema/…`; outputs `loss`, `gradNorm`
 * and the updated tensors under the names of their inputs with a prime, so that memory bound to both is updated in place.
 *
 * With `scaling`, by default where tokens are float16, gradients are taken of a scaled loss and divided again; see `followGradients`.
 *
 * No update starts before the norm is known, and the norm needs every gradient: nothing reads a weight after it has changed.
 */
export function trainStep(
  g: GraphBuilder,
  loss: Value,
  recompute: RecomputePolicy = 'speed',
  scaling: LossScaling | null = defaultScaling(g),
): void {
  const leaves = handInShadows(g)
  const gradients = backward(g, scaling ? scaledLoss(g, loss) : loss, leaves, recompute)
  g.output('loss', loss)
  update(g, gradients, scaling)
}

/** The name of a weight in the type of computation, among inputs and outputs. */
export const shadowName = (parameter: string): string => `shadow/${parameter}`

/** The shadows that a graph reads, by the name of their input. */
export function shadowsOf({ inputs }: Pick<Graph, 'inputs'>): Map<string, Value> {
  return new Map([...inputs].filter(([name]) => name.startsWith(shadowName(''))))
}

/**
 * What every parameter is read through, see `leafOf`. Where that is its cast to fewer bits, the cast is handed in from now on: the update writes it
 * together with the weight, and no step casts it.
 */
function handInShadows(g: GraphBuilder): Value[] {
  return [...g.parameters].map(([name, value]) => {
    const leaf = g.leafOf(value)
    if (leaf !== value) g.inputs.set(shadowName(name), leaf)
    return leaf
  })
}

function update(g: GraphBuilder, gradients: readonly Value[], scaling: LossScaling | null): void {
  const parameters = [...g.parameters]
  const norm = g.node('GlobalNorm', gradients, {}, [[[1], g.float]])[0]!
  const given = g.input('hyper', [8])
  const { hyper, inverse, gradNorm } = scaling
    ? followGradients(g, { norm, hyper: given }, scaling)
    : { hyper: given, inverse: g.floats([1], [1]), gradNorm: norm }
  const copies = trainedCopies.map((copy) => parameters.map(([name, value]) => g.input(copyName(copy, name), value.shape)))
  const values = parameters.map(([, value]) => value)
  const shadows = shadowsOf(g)
  const attributes = {
    count: parameters.length,
    decay: parameters.map(([name, value]) => Number(decays(name, value))),
    shadowed: parameters.map(([name]) => Number(shadows.has(shadowName(name)))),
  }
  const updated = g.node(
    'AdamW',
    [hyper, norm, inverse, ...values, ...gradients, ...copies.flat()],
    attributes,
    [...Array<null>(4)]
      .flatMap(() => values)
      .concat(...shadows.values())
      .map(({ shape, dtype }) => [shape, dtype] as const),
  )
  g.output('gradNorm', gradNorm)
  const names = [
    parameters.map(([name]) => name),
    ...trainedCopies.map((copy) => parameters.map(([name]) => copyName(copy, name))),
    [...shadows.keys()],
  ].flat()
  names.forEach((name, i) => g.output(updatedName(name), updated[i]!))
}

/** The sum of a parameter's gradients over the pieces of a batch. */
export const sumName = (parameter: string): string => `gradient/${parameter}`

/**
 * Appends what one piece of a batch gives: gradients of all parameters times `share`, added to those of the pieces before it. Inputs `carry` [1], 0 for
 * the first piece and 1 for the others, and for each parameter `gradient/…`; outputs `loss` and the new sums.
 */
export function gradientStep(
  g: GraphBuilder,
  loss: Value,
  { share, recompute, scaling = defaultScaling(g) }: { share: number; recompute: RecomputePolicy; scaling?: LossScaling | null },
): void {
  const parameters = [...g.parameters]
  const leaves = handInShadows(g)
  const whole = scaling ? scaledLoss(g, loss) : loss
  const gradients = backward(g, g.scale(whole, share), leaves, recompute)
  // Chosen, not multiplied: 0 times what overflowed at the step before would not be 0.
  const isFirst = g.less(g.input('carry', [1]), g.floats([0.5], [1]))
  g.output('loss', loss)
  parameters.forEach(([name, { shape }], i) => {
    const before = g.where(isFirst, g.scalar(0), g.input(sumName(name), shape))
    g.output(updatedName(sumName(name)), g.add(before, g.cast(gradients[i]!, g.float)))
  })
}

/** The update that follows the last piece: the common norm of the summed gradients and AdamW, with inputs and outputs as in `trainStep`. */
export function updateGraph(trained: Pick<Graph, 'parameters' | 'inputs'>, scaling: LossScaling | null): GraphBuilder {
  const g = new GraphBuilder('f32')
  for (const [name, { shape }] of trained.parameters) g.parameter(name, shape)
  for (const [name, { shape, dtype }] of shadowsOf(trained)) g.input(name, shape, dtype)
  update(
    g,
    [...g.parameters].map(([name, { shape }]) => g.input(sumName(name), shape)),
    scaling,
  )
  return g
}

/** The shadows of weights that were written from outside. */
export function shadowGraph(trained: Pick<Graph, 'parameters' | 'inputs'>): GraphBuilder {
  const g = new GraphBuilder('f32')
  const shadows = shadowsOf(trained)
  for (const [name, { shape }] of trained.parameters) {
    const shadow = shadows.get(shadowName(name))
    if (shadow) g.output(updatedName(shadowName(name)), g.cast(g.parameter(name, shape), shadow.dtype))
  }
  return g
}

/** The output that holds the new value of an input. */
export const updatedName = (name: string): string => `${name}'`
