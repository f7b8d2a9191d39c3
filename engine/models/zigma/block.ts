import type { ModelSpec } from '#contracts/recipe.ts'
import { addNormModulate, attention, gateAdd } from '../../graph/fused.ts'
import type { GraphBuilder } from '../../graph/graph-builder.ts'
import type { Value } from '../../graph/value.ts'
import { linear } from '../../nn/linear.ts'
import { mixer, type Direction } from './mixer.ts'

export const normEpsilon = 1e-5
const attentionNormEpsilon = 1e-6

export interface Stream {
  /** [B, L, D] what the last block gave */ h: Value
  /** [B, L, D] the running sum; null before the first block */ residual: Value | null
}

export interface BlockInputs {
  /** SiLU of the conditioning vector, [B, D]; shared by all blocks */ modulation: Value
  /** [B, T, D] text tokens for cross-attention */ context: Value | null
  /** [B] factor of stochastic depth on the incoming h */ keep: Value | null
  directions: readonly Direction[]
}

/**
 * One ZigMa block (spec 1.5). Unlike DiT's it hands on the *normalized* stream plus its branches, and the caller's next block adds
 * that to the running residual: with every gate at 0 a block is the norm, not the identity.
 */
export function block(
  g: GraphBuilder,
  spec: ModelSpec,
  { h, residual }: Stream,
  name: string,
  { modulation, context, keep, directions }: BlockInputs,
): Stream {
  const d = spec.embedDim
  const chunks = linear(g, modulation, `${name}.adaLN_modulation.1`, (context ? 6 : 3) * d)
  const [shift, scale, gate, shiftText, scaleText, gateText] = g.split(chunks, 1, Array<number>(context ? 6 : 3).fill(d)) as [
    Value,
    Value,
    Value,
    Value?,
    Value?,
    Value?,
  ]

  const weight = g.parameter(`${name}.norm.weight`, [d])
  const bias = spec.norm === 'layer' ? g.parameter(`${name}.norm.bias`, [d]) : null
  const sum = addNormModulate(g, { h, residual, weight, bias, shift, scale, keep }, { norm: spec.norm, epsilon: normEpsilon })
  const mixed = gateAdd(g, sum.normalized, gate, mixer(g, spec, sum.modulated, `${name}.mixer`, directions))
  if (!context || !shiftText || !scaleText || !gateText) return { h: mixed, residual: sum.residual }

  const { modulated } = addNormModulate(
    g,
    { h: mixed, shift: shiftText, scale: scaleText },
    { norm: 'layer', epsilon: attentionNormEpsilon },
  )
  const { y, yBias } = crossAttention(g, spec, modulated, context, `${name}.msa`)
  return { h: gateAdd(g, mixed, gateText, y, yBias), residual: sum.residual }
}

/**
 * Queries from the picture, keys and values from the text; no mask, as in the official network (spec 1.5). The result is y + yBias: the gate adds the
 * bias of the last product.
 */
function crossAttention(g: GraphBuilder, spec: ModelSpec, x: Value, context: Value, name: string): { y: Value; yBias: Value } {
  if (spec.condition.kind !== 'text') throw new TypeError(`crossAttention: the condition is ${spec.condition.kind}, not text`)
  const { heads, headDim } = spec.condition
  const inner = heads * headDim
  const q = linear(g, x, `${name}.to_q`, inner, { bias: false })
  const k = linear(g, context, `${name}.to_k`, inner, { bias: false })
  const v = linear(g, context, `${name}.to_v`, inner, { bias: false })
  const attended = attention(g, q, k, v, { heads, scale: headDim ** -0.5 })
  return {
    y: linear(g, attended, `${name}.to_out.0`, spec.embedDim, { bias: false }),
    yBias: g.parameter(`${name}.to_out.0.bias`, [spec.embedDim]),
  }
}
