import type { ModelSpec } from '#contracts/recipe.ts'
import { addNormModulate } from '../../graph/fused.ts'
import type { GraphBuilder } from '../../graph/graph-builder.ts'
import { ShapeError, show } from '../../graph/shape.ts'
import type { Value } from '../../graph/value.ts'
import { sinCosPositions, timestepEmbedding } from '../../nn/embeddings.ts'
import { linear, project } from '../../nn/linear.ts'
import { patchify, unpatchify } from '../../nn/patches.ts'
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

  const patches = patchify(g, image, p)
  const kernel = g.reshape(g.parameter('x_embedder.proj.weight', [d, spec.channels, p, p]), [d, spec.channels * p * p])
  let h = project(g, patches, kernel, g.parameter('x_embedder.proj.bias', [d]))
  const length = h.shape[1]!
  if (spec.positionEmbedding === 1)
    h = g.add(h, g.cast(g.floats(sinCosPositions(spec.height / p, spec.width / p, d), [1, length, d]), g.compute))
  if (spec.positionEmbedding === 2) h = g.add(h, g.computed(g.parameter('pos_embed', [1, length, d])))

  const { vector, context } = embedCondition(g, spec, t, condition)
  const modulation = g.silu(vector)
  const plan = scanPlan(spec.scan, spec.height / p, spec.width / p)
  const orders = plan.orders.map((order) => g.ints(order, [length]))

  let stream: Stream = { h, residual: null }
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
  const out = linear(g, centered.normalized, 'final_layer.linear', p * p * spec.channels)
  if (b !== out.shape[0]) throw new ShapeError(`zigma: batch ${b} became ${out.shape[0]}.`)
  return g.cast(unpatchify(g, out, p, spec), g.float)
}

/** Time and condition as one vector [B, D] for the modulation, and as text tokens [B, T, D] for cross-attention (spec 1.1, 1.4). */
function embedCondition(g: GraphBuilder, spec: ModelSpec, t: Value, condition: Value | null): { vector: Value; context: Value | null } {
  const d = spec.embedDim
  const wide = (x: Value) => g.cast(x, g.float)
  const hidden = g.silu(wide(linear(g, timestepEmbedding(g, t, timestepFeatures), 't_embedder.mlp.0', d)))
  const time = wide(linear(g, hidden, 't_embedder.mlp.2', d))
  if (spec.condition.kind === 'none') return { vector: time, context: null }
  if (!condition) throw new ShapeError(`zigma: the model is conditioned on ${spec.condition.kind}, but no condition was given.`)
  if (spec.condition.kind === 'class') {
    const table = g.parameter('y_embedder.embedding_table.weight', [spec.condition.classes, d])
    return { vector: g.add(time, g.gather(table, condition)), context: null }
  }
  const context = linear(g, condition, 'y_embedder', d)
  return { vector: g.add(time, g.mean(wide(context), [1])), context }
}
