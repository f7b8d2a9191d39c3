import type { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Value } from '../graph/value.ts'

/**
 * A dense layer: x [..., in] -> [..., out], y = x Wᵀ + b. Parameters `<name>.weight` [out, in] and `<name>.bias` [out].
 * The leading axes are one matrix axis, so weights and gradients are plain products.
 */
export function linear(g: GraphBuilder, x: Value, name: string, out: number, { bias = true }: { bias?: boolean } = {}): Value {
  const weight = g.parameter(`${name}.weight`, [out, x.shape.at(-1)!])
  return project(g, x, weight, bias ? g.parameter(`${name}.bias`, [out]) : undefined)
}

/** y = x Wᵀ + b for weights that are there already: x [..., in], weight [out, in], bias [out]; y has the graph's type of computation. */
export function project(g: GraphBuilder, x: Value, weight: Value, bias?: Value): Value {
  const lead = x.shape.slice(0, -1)
  const rows = g.cast(g.reshape(x, [sizeOf(lead), x.shape.at(-1)!]), g.compute)
  const product = g.gemm(rows, g.computed(weight), { transB: true, ...(bias ? { bias: g.computed(bias) } : {}) })
  return g.reshape(product, [...lead, weight.shape[0]!])
}
