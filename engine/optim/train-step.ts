import { backward } from '../autodiff/backward.ts'
import type { RecomputePolicy } from '../autodiff/recompute.ts'
import { GraphBuilder } from '../graph/graph-builder.ts'
import type { Graph, Value } from '../graph/value.ts'
import { defaultScaling, followGradients, scaledLoss, type LossScaling } from './loss-scaling.ts'
import { handIn, placeOf, shadowName, shadowsOf, type Trained } from './trained.ts'

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
export function decays(name: string, { shape }: Pick<Value, 'shape'>): boolean {
  return shape.length >= 2 && !/(^|\.)(A(_b)?_log|pos_embed|embedding_table\.weight)$/.test(placeOf(name).parameters[0]!)
}

/**
 * Appends one training step to a graph that ends in `loss`: gradients of all parameters, their common norm, and one AdamW update of every
 * parameter with its moments and its moving average. Inputs `hyper` [8] and, for each parameter, `m/…`, `v/…`, `ema/…`; outputs `loss`, `gradNorm`
 * and the updated tensors under the names of their inputs with a prime, so that memory bound to both is updated in place. What
 * is trained may be a piece of a parameter, or several, see `handIn`.
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
  const trained = handIn(g)
  const gradients = backward(g, scaling ? scaledLoss(g, loss) : loss, leavesOf(trained), recompute)
  g.output('loss', loss)
  update(g, trained, gradients, scaling)
}

const leavesOf = (trained: readonly Trained[]): Value[] => trained.map(({ leaf }) => leaf)

function update(
  g: GraphBuilder,
  trained: readonly Pick<Trained, 'name' | 'value'>[],
  gradients: readonly Value[],
  scaling: LossScaling | null,
): void {
  const norm = g.node('GlobalNorm', gradients, {}, [[[1], g.float]])[0]!
  const given = g.input('hyper', [8])
  const { hyper, inverse, gradNorm } = scaling
    ? followGradients(g, { norm, hyper: given }, scaling)
    : { hyper: given, inverse: g.floats([1], [1]), gradNorm: norm }
  const copies = trainedCopies.map((copy) => trained.map(({ name, value }) => g.input(copyName(copy, name), value.shape)))
  const values = trained.map(({ value }) => value)
  const shadows = shadowsOf(g)
  const attributes = {
    count: trained.length,
    decay: trained.map(({ name, value }) => Number(decays(name, value))),
    shadowed: trained.map(({ name }) => Number(shadows.has(shadowName(name)))),
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
  const names = trained.map(({ name }) => name)
  const written = [names, ...trainedCopies.map((copy) => names.map((name) => copyName(copy, name))), [...shadows.keys()]].flat()
  written.forEach((name, i) => g.output(updatedName(name), updated[i]!))
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
  const trained = handIn(g)
  const whole = scaling ? scaledLoss(g, loss) : loss
  const gradients = backward(g, g.scale(whole, share), leavesOf(trained), recompute)
  // Chosen, not multiplied: 0 times what overflowed at the step before would not be 0.
  const isFirst = g.less(g.input('carry', [1]), g.floats([0.5], [1]))
  g.output('loss', loss)
  trained.forEach(({ name, value: { shape } }, i) => {
    const before = g.where(isFirst, g.scalar(0), g.input(sumName(name), shape))
    g.output(updatedName(sumName(name)), g.add(before, g.cast(gradients[i]!, g.float)))
  })
}

/** The sums of gradients that a graph of `gradientStep` reads, by the name of what is trained. */
export const sumsOf = ({ inputs }: Pick<Graph, 'inputs'>): Map<string, Value> => behind(sumName(''), inputs)

/** What is trained by a graph that updates it, by name; `inputs` are the graph's. */
export const trainedOf = (inputs: ReadonlyMap<string, Value>): Map<string, Value> => behind(copyName('ema', ''), inputs)

/** The values whose names begin with a prefix, by what stands behind it. */
function behind(prefix: string, values: ReadonlyMap<string, Value>): Map<string, Value> {
  return new Map([...values].flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [])))
}

/** The update that follows the last piece: the common norm of the summed gradients and AdamW, with inputs and outputs as in `trainStep`. */
export function updateGraph(trained: Pick<Graph, 'inputs'>, scaling: LossScaling | null): GraphBuilder {
  const g = new GraphBuilder('f32')
  const values = [...sumsOf(trained)].map(([name, { shape }]) => ({ name, value: g.parameter(name, shape) }))
  for (const [name, { shape, dtype }] of shadowsOf(trained)) g.input(name, shape, dtype)
  update(
    g,
    values,
    values.map(({ name, value }) => g.input(sumName(name), value.shape)),
    scaling,
  )
  return g
}

/** The shadows of weights that were written from outside. */
export function shadowGraph(trained: Pick<Graph, 'inputs'>): GraphBuilder {
  const g = new GraphBuilder('f32')
  for (const [shadow, { shape, dtype }] of shadowsOf(trained))
    g.output(updatedName(shadow), g.cast(g.parameter(shadow.slice(shadowName('').length), shape), dtype))
  return g
}

/** The output that holds the new value of an input. */
export const updatedName = (name: string): string => `${name}'`
