import type { ModelSpec } from '#contracts/recipe.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { sizeOf } from '#engine/graph/shape.ts'
import type { ConstantData, DType, Value } from '#engine/graph/value.ts'
import { zigma } from '#engine/models/zigma/zigma.ts'
import { numbers } from './differences.ts'

/** A ZigMa of two blocks on pictures of 6 x 4, patches of 2: small enough for float64. */
export function smallSpec(changes: Partial<ModelSpec> = {}): ModelSpec {
  return {
    kind: 'zigma',
    height: 6,
    width: 4,
    channels: 3,
    patchSize: 2,
    embedDim: 20,
    depth: 2,
    stateDim: 16,
    expand: 2,
    convWidth: 4,
    scan: { kind: 'zigzag', count: 8 },
    positionEmbedding: 2,
    norm: 'rms',
    condition: { kind: 'none' },
    dropPath: 0,
    ...changes,
  }
}

export const textCondition = { kind: 'text', contextDim: 6, contextTokens: 3, heads: 2, headDim: 4 } as const

/** The network on a batch of two or another number, without an output yet. */
export function smallNetwork(spec: ModelSpec, float: DType, batch = 2): { g: GraphBuilder; velocity: Value } {
  const g = new GraphBuilder(float)
  const image = g.input('image', [batch, spec.channels, spec.height, spec.width])
  const { condition: kind } = spec
  const condition =
    kind.kind === 'none'
      ? null
      : kind.kind === 'class'
        ? g.input('condition', [batch], 'i32')
        : g.input('condition', [batch, kind.contextTokens, kind.contextDim])
  return { g, velocity: zigma(g, spec, { image, t: g.input('t', [batch]), condition }) }
}

/** Values for every input and parameter, exact in float32: numbers as a trained network has them, no gate and no weight at 0. */
export function smallFeeds(g: GraphBuilder): Record<string, ConstantData> {
  return Object.fromEntries(
    [...g.inputs, ...g.parameters].map(([name, { shape, dtype }], i) => {
      const values = numbers(sizeOf(shape), { seed: i + 1, ...rangeOf(name) }).map(Math.fround)
      return [
        name,
        dtype === 'f64' ? values : dtype === 'i32' ? Int32Array.from(values, (x) => (x > 0 ? 1 : 0)) : Float32Array.from(values),
      ]
    }),
  )
}

function rangeOf(name: string): { low: number; high: number } {
  if (name === 't') return { low: 0.1, high: 0.9 }
  if (/norm(_f)?\.weight$/.test(name)) return { low: 0.5, high: 1.5 }
  if (name === 'image' || name === 'condition') return { low: -1, high: 1 }
  return { low: -0.4, high: 0.4 }
}
