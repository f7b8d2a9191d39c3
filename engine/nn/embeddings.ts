import type { GraphBuilder } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'

/** Sinusoids of time: t [B] in [0, 1] -> [B, size], cosines first, of 1000 t exp(-ln 10000 k / (size/2)) (spec 1.3). */
export function timestepEmbedding(g: GraphBuilder, t: Value, size: number): Value {
  const half = size / 2
  const frequencies = Float64Array.from({ length: size }, (_, k) => 1000 * Math.exp((-Math.log(10000) * (k % half)) / half))
  const phases = Float64Array.from({ length: size }, (_, k) => (k < half ? Math.PI / 2 : 0)) // a cosine is a sine a quarter turn ahead
  const turned = g.mul(g.reshape(t, [t.shape[0]!, 1]), g.floats(frequencies, [1, size]))
  return g.sin(g.add(turned, g.floats(phases, [1, size])))
}

/**
 * Fixed two-dimensional position embedding of a grid, [rows*columns, dim] row-major (spec 1.2, as in MAE and DiT): for the token at
 * row i, column j the four quarters sin(j w), cos(j w), sin(i w), cos(i w) with w_k = 10000^(-k/(dim/4)).
 */
export function sinCosPositions(rows: number, columns: number, dim: number): Float64Array {
  const quarter = dim / 4
  const table = new Float64Array(rows * columns * dim)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const at = (i * columns + j) * dim
      for (let k = 0; k < quarter; k++) {
        const w = 10000 ** (-k / quarter)
        table[at + k] = Math.sin(j * w)
        table[at + quarter + k] = Math.cos(j * w)
        table[at + 2 * quarter + k] = Math.sin(i * w)
        table[at + 3 * quarter + k] = Math.cos(i * w)
      }
    }
  }
  return table
}
