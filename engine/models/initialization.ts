import type { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Shape } from '../graph/value.ts'
import { normal, streams, uniform, type Counter } from '../random/philox.ts'

/**
 * Starting values of every parameter of a graph, by its official name (spec 1.7). A parameter depends on the seed and on its place in the
 * graph only. One departure from the official code: the second direction of a bidirectional mixer gets the special step-size bias too, which
 * the official initialization forgets (spec 1.7, point 4).
 */
export function initialParameters(g: GraphBuilder, seed: number, depth: number): Map<string, Float32Array> {
  return new Map(
    [...g.parameters].map(([name, { shape }], index) => [
      name,
      initialValues(name, shape, depth, { seed, stream: streams.initialization, sample: index }),
    ]),
  )
}

/** Starting values of one parameter, by its official name. */
export function initialValues(name: string, shape: Shape, depth: number, counter: Counter): Float32Array {
  const size = sizeOf(shape)
  const fanIn = size / shape[0]!
  const within = (bound: number) => uniform(size, counter).map((u) => bound * (2 * u - 1))
  const constant = (value: number) => new Float32Array(size).fill(value)

  if (/A(_b)?_log$/.test(name)) return Float32Array.from({ length: size }, (_, i) => Math.log((i % shape[1]!) + 1))
  if (/\.D(_b)?$/.test(name)) return constant(1)
  if (/norm[^.]*\.weight$/.test(name)) return constant(1)
  if (/dt_proj(_b)?\.weight$/.test(name)) return within(fanIn ** -0.5)
  if (/dt_proj(_b)?\.bias$/.test(name)) return stepSizeBias(uniform(size, counter))
  if (/conv1d(_b)?\.(weight|bias)$/.test(name)) return within(0.5)
  if (/adaLN_modulation/.test(name) || name === 'pos_embed' || name.endsWith('.bias')) return constant(0)
  if (name === 'x_embedder.proj.weight') return within(Math.sqrt(6 / (fanIn + shape[0]!)))
  if (/t_embedder|embedding_table|text_encoder\.pos_embed/.test(name)) return normal(size, counter).map((x) => 0.02 * x)
  if (/mixer\.out_proj\.weight$/.test(name)) return within(1 / Math.sqrt(fanIn * depth))
  return within(1 / Math.sqrt(fanIn))
}

/** Inverse softplus of a step size drawn between 0.001 and 0.1, uniformly in its logarithm. */
function stepSizeBias(u: Float32Array): Float32Array {
  return u.map((x) => {
    const step = Math.max(1e-4, Math.exp(Math.log(1e-3) + x * (Math.log(1e-1) - Math.log(1e-3))))
    return step + Math.log(-Math.expm1(-step))
  })
}
