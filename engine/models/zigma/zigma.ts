import type { ModelSpec } from '#contracts/recipe.ts'
import { addNormModulate } from '../../graph/fused.ts'
import type { GraphBuilder } from '../../graph/graph-builder.ts'
import { ShapeError, show } from '../../graph/shape.ts'
import type { Value } from '../../graph/value.ts'
import { sinCosPositions, timestepEmbedding } from '../../nn/embeddings.ts'
import { linear, project } from '../../nn/linear.ts'
import { projectPatches, projectToImage } from '../../nn/patches.ts'
import { scanPlan } from '../../scan/scan-plan.ts'
import { block, normEpsilon, type Stream } from './block.ts'

const timestepFeatures = 256
const finalNormEpsilon = 1e-6

export interface ZigmaInputs {
  /** [B, C, H, W] */ image: Value
  /** [B] in [0, 1]; 0 is noise, 1 is data */ t: Value
  /** Text features [B, tokens, contextDim], class ids int32 [B], or null for an unconditional network */ condition: Value | null
  /** Stochastic depth in training: factor [B] on what enters block i, i = 1..depth (depth is the final norm). Absent: no drop. */
  keep?: (layer: number) => Value | null
}

/**
 * The ZigMa network for images (spec section 1): the velocity at (image, t), [B, C, H, W].
 * Parameters carry the names of the official state dict (spec 1.9), so official weights load by name.
 */
export function zigma(g: GraphBuilder, spec: ModelSpec, { image, t, condition, keep = () => null }: ZigmaInputs): Value {
  const b = image.shape[0]!
  const d = spec.embedDim
  const p = spec.patchSize
  if (show(image.shape.slice(1)) !== show([spec.channels, spec.height, spec.width])) {
    throw new ShapeError(`zigma: the image is ${show(image.shape)}, the model is for [B, ${spec.channels}, ${spec.height}, ${spec.width}].`)
  }

  let stream = embedImage(g, spec, image)
  const length = stream.h.shape[1]!
  const { vector, context } = embedCondition(g, spec, t, condition)
  const modulation = g.silu(vector)
  const plan = scanPlan(spec.scan, spec.height / p, spec.width / p)
  const orders = plan.orders.map((order) => g.ints(order, [length]))

  const border = ({ h, residual }: Stream) => g.border(residual ? [h, residual] : [h])
  for (let layer = 0; layer < spec.depth; layer++) {
    border(stream)
    const directions = plan.directions(layer).map(({ order, suffix }) => ({ permutation: orders[order]!, suffix }))
    stream = block(g, spec, stream, `blocks.${layer}`, { modulation, context, keep: layer === 0 ? null : keep(layer), directions })
  }
  border(stream)

  const weight = g.parameter('norm_f.weight', [d])
  const bias = spec.norm === 'layer' ? g.parameter('norm_f.bias', [d]) : null
  const summed = addNormModulate(g, { ...stream, weight, bias, keep: keep(spec.depth) }, { norm: spec.norm, epsilon: normEpsilon })
  const centered = addNormModulate(g, { h: summed.normalized }, { norm: 'layer', epsilon: finalNormEpsilon })
  const size = p * p * spec.channels
  const last = { weight: g.parameter('final_layer.linear.weight', [size, d]), bias: g.parameter('final_layer.linear.bias', [size]) }
  const velocity = projectToImage(g, centered.normalized, p, last, spec)
  if (b !== velocity.shape[0]) throw new ShapeError(`zigma: batch ${b} became ${velocity.shape[0]}.`)
  return g.cast(velocity, g.float)
}

/**
 * Patches as tokens [B, L, D], with their positions (spec 1.1, 1.2). What is added to all pictures alike is summed up first: a bias in the product would
 * be written to the whole result before it. For one picture the first norm adds that sum; for more it would have to be repeated.
 */
function embedImage(g: GraphBuilder, spec: ModelSpec, image: Value): Stream {
  const { patchSize: p, embedDim: d } = spec
  const weight = g.reshape(g.parameter('x_embedder.proj.weight', [d, spec.channels, p, p]), [d, spec.channels * p * p])
  const bias = g.parameter('x_embedder.proj.bias', [d])
  const isPlaced = spec.positionEmbedding === 1 || spec.positionEmbedding === 2
  const h = projectPatches(g, image, p, isPlaced ? { weight } : { weight, bias })
  if (!isPlaced) return { h, residual: null }
  const alike = g.add(positionsOf(g, spec), bias)
  return image.shape[0] === 1 ? { h, residual: alike } : { h: g.add(h, g.cast(alike, g.compute)), residual: null }
}

/** [1, L, D] */
function positionsOf(g: GraphBuilder, { positionEmbedding, height, width, patchSize, embedDim }: ModelSpec): Value {
  const [rows, columns] = [height / patchSize, width / patchSize]
  const shape = [1, rows * columns, embedDim]
  return positionEmbedding === 1 ? g.floats(sinCosPositions(rows, columns, embedDim), shape) : g.parameter('pos_embed', shape)
}

/**
 * Time and condition as one vector [B, D] for the modulation, and as text tokens [B, T, D] for cross-attention (spec 1.1, 1.4). Of so few rows a product
 * takes its start and little more, in any type: time stays in that of the weights, where nothing is cast, and what the condition adds is a bias.
 */
function embedCondition(g: GraphBuilder, spec: ModelSpec, t: Value, condition: Value | null): { vector: Value; context: Value | null } {
  const d = spec.embedDim
  const hidden = g.silu(linear(g, timestepEmbedding(g, t, timestepFeatures), 't_embedder.mlp.0', d, { type: g.float }))
  const weight = g.parameter('t_embedder.mlp.2.weight', [d, d])
  const bias = g.parameter('t_embedder.mlp.2.bias', [d])
  const timeAnd = (rest: Value | null) => project(g, hidden, weight, rest ? g.add(rest, bias) : bias, g.float)
  if (spec.condition.kind === 'none') return { vector: timeAnd(null), context: null }
  if (!condition) throw new ShapeError(`zigma: the model is conditioned on ${spec.condition.kind}, but no condition was given.`)
  if (spec.condition.kind === 'class') {
    const table = g.parameter('y_embedder.embedding_table.weight', [spec.condition.classes, d])
    return { vector: timeAnd(g.gather(table, condition)), context: null }
  }
  const context = linear(g, condition, 'y_embedder', d)
  return { vector: timeAnd(g.mean(g.cast(context, g.float), [1])), context }
}
