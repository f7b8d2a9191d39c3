import type { TextEncoderSpec } from '#contracts/recipe.ts'
import { addNormModulate, attention } from '../graph/fused.ts'
import type { GraphBuilder } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'
import { linear } from '../nn/linear.ts'

const normEpsilon = 1e-5
const prefix = 'text_encoder'

/**
 * The caption encoder that is trained with the model: a small pre-norm transformer over token ids int32 [B, T] -> features [B, T, dim].
 * Padding is a token like any other, as in the official network, which has no mask.
 */
export function encodeText(g: GraphBuilder, spec: TextEncoderSpec, ids: Value): Value {
  const { dim, tokens, vocabularySize } = spec
  const wide = (x: Value) => g.cast(x, g.float) // a few tokens: only its products are worth fewer bits
  let x = g.add(
    g.gather(g.parameter(`${prefix}.embedding_table.weight`, [vocabularySize, dim]), ids),
    g.parameter(`${prefix}.pos_embed`, [1, tokens, dim]),
  )
  for (let layer = 0; layer < spec.depth; layer++) {
    const name = `${prefix}.blocks.${layer}`
    const attended = norm(g, x, `${name}.norm1`)
    const [q, k, v] = ['q', 'k', 'v'].map((part) => wide(linear(g, attended, `${name}.attn.to_${part}`, dim))) as [Value, Value, Value]
    const mixed = attention(g, q, k, v, { heads: spec.heads, scale: (dim / spec.heads) ** -0.5 })
    x = g.add(x, wide(linear(g, mixed, `${name}.attn.to_out`, dim)))
    const hidden = g.silu(wide(linear(g, norm(g, x, `${name}.norm2`), `${name}.mlp.0`, 4 * dim)))
    x = g.add(x, wide(linear(g, hidden, `${name}.mlp.2`, dim)))
  }
  return norm(g, x, `${prefix}.norm_f`)
}

function norm(g: GraphBuilder, x: Value, name: string): Value {
  const d = x.shape[2]!
  return addNormModulate(
    g,
    { h: x, weight: g.parameter(`${name}.weight`, [d]), bias: g.parameter(`${name}.bias`, [d]) },
    { norm: 'layer', epsilon: normEpsilon },
  ).modulated
}
