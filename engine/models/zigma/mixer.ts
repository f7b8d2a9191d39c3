import type { ModelSpec } from '#contracts/recipe.ts'
import { scanConv, selectiveScan } from '../../graph/fused.ts'
import type { GraphBuilder } from '../../graph/graph-builder.ts'
import type { Value } from '../../graph/value.ts'
import { project } from '../../nn/linear.ts'

/** One pass of the mixer over the tokens: its order, and the suffix of its own parameters ("" or "_b"). */
export interface Direction {
  /** int32 [L] */ permutation: Value
  suffix: '' | '_b'
}

/** Width of the low-rank step size: ceil(embedDim / 16). */
export function deltaRank(spec: ModelSpec): number {
  return Math.ceil(spec.embedDim / 16)
}

/**
 * The Mamba mixer (spec 1.6): tokens [B, L, D] -> [B, L, D], both in token order. Each direction scans the tokens in its own order
 * with its own convolution and recurrence; their results are summed before the one output projection.
 */
export function mixer(g: GraphBuilder, spec: ModelSpec, tokens: Value, name: string, directions: readonly Direction[]): Value {
  const e = spec.expand * spec.embedDim
  const [xWeight, zWeight] = g.split(g.computed(g.parameter(`${name}.in_proj.weight`, [2 * e, spec.embedDim])), 0, [e, e]) as [Value, Value]
  const x = project(g, tokens, xWeight)
  const z = project(g, tokens, zWeight)
  const scanned = directions.map((direction) => scan(g, spec, x, z, name, direction)).reduce((sum, y) => g.add(sum, y))
  return project(g, scanned, g.parameter(`${name}.out_proj.weight`, [spec.embedDim, e]))
}

function scan(g: GraphBuilder, spec: ModelSpec, x: Value, z: Value, name: string, { permutation, suffix }: Direction): Value {
  const e = spec.expand * spec.embedDim
  const n = spec.stateDim
  const rank = deltaRank(spec)
  const parameter = (path: string, shape: readonly number[]) => g.parameter(`${name}.${path}`, shape)

  const kernel = g.reshape(parameter(`conv1d${suffix}.weight`, [e, 1, spec.convWidth]), [e, spec.convWidth])
  const u = scanConv(g, x, permutation, kernel, parameter(`conv1d${suffix}.bias`, [e]))
  const rows = project(g, u, parameter(`x_proj${suffix}.weight`, [rank + 2 * n, e]))
  const { deltaLow, B, C, width } = cut(g, rows, { rank, n })
  const weight = parameter(`dt_proj${suffix}.weight`, [e, rank])
  const delta = project(g, deltaLow, width > rank ? g.gemm(g.computed(weight), g.diagonal(rank, width)) : weight)
  const A = g.neg(g.exp(parameter(suffix ? 'A_b_log' : 'A_log', [e, n])))
  const D = parameter(`D${suffix}`, [e])
  return selectiveScan(g, { u, delta, A, B, C, D, z, deltaBias: parameter(`dt_proj${suffix}.bias`, [e]), permutation })
}

/** So many elements of any type are whole pieces of 16 bytes, which a GPU reads at once. */
const wholeElements = 8

/**
 * What a scan reads of [.., rank + 2 n]: its low-rank step size, B and C. The step size is left as it lies, before B and C, which meet zeros behind the
 * `rank` columns of its weight: then B and C alone are cut out, and a scan reads them where they lie. Not where that would not be whole pieces, for which
 * a GPU takes longer than for cutting them out, nor where the product with the step size would be more than three times as much.
 */
function cut(
  g: GraphBuilder,
  rows: Value,
  { rank, n }: { rank: number; n: number },
): Record<'deltaLow' | 'B' | 'C', Value> & { width: number } {
  const width = rank + 2 * n
  const isEven = rank % n === 0
  if (!isEven && (rank < n || rank % wholeElements !== 0 || n % wholeElements !== 0)) {
    const [deltaLow, B, C] = g.split(rows, 2, [rank, n, n]) as [Value, Value, Value]
    return { deltaLow, B, C, width: rank }
  }
  // Where they are cut out all the same, pieces of one size are cut several times as fast as others on a GPU.
  const [B, C] = g.split(rows, 2, isEven ? Array<number>(width / n).fill(n) : [rank, n, n]).slice(-2) as [Value, Value]
  return { deltaLow: rows, B, C, width }
}
