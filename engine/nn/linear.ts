import type { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { DType, Value } from '../graph/value.ts'

/**
 * A dense layer: x [..., in] -> [..., out], y = x Wᵀ + b. Parameters `<name>.weight` [out, in] and `<name>.bias` [out].
 * The leading axes are one matrix axis, so weights and gradients are plain products. y has the graph's type of computation, or another `type`.
 */
export function linear(
  g: GraphBuilder,
  x: Value,
  name: string,
  out: number,
  { bias = true, type = g.compute }: { bias?: boolean; type?: DType } = {},
): Value {
  const weight = g.parameter(`${name}.weight`, [out, x.shape.at(-1)!])
  return project(g, x, weight, bias ? g.parameter(`${name}.bias`, [out]) : undefined, type)
}

/** y = x Wᵀ + b for weights that are there already: x [..., in], weight [out, in], bias [out] or [rows, out]. */
export function project(g: GraphBuilder, x: Value, weight: Value, bias?: Value, type = g.compute): Value {
  const lead = x.shape.slice(0, -1)
  const typed = (parameter: Value) => (type === g.compute ? g.computed(parameter) : g.cast(parameter, type))
  const rows = g.cast(g.reshape(x, [sizeOf(lead), x.shape.at(-1)!]), type)
  const product = g.gemm(rows, typed(weight), { transB: true, ...(bias ? { bias: typed(bias) } : {}) })
  return g.reshape(product, [...lead, weight.shape[0]!])
}
