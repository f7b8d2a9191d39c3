import type { GraphBuilder } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'

export interface LinearSample {
  /** [B, C, H, W] */ data: Value
  /** [B, C, H, W] standard normal */ noise: Value
  /** [B] in [0, 1] */ t: Value
}

/** A point of the linear path, x_t = t data + (1 - t) noise, and the velocity there, data - noise (spec 3.1). */
export function linearPath(g: GraphBuilder, { data, noise, t }: LinearSample): { point: Value; velocity: Value } {
  const velocity = g.sub(data, noise)
  const time = g.reshape(t, [t.shape[0]!, ...data.shape.slice(1).map(() => 1)])
  return { point: g.add(noise, g.mul(time, velocity)), velocity }
}

/** Mean over all elements of (predicted - target)², a scalar (spec 3.2, paper equation 12 without a weight). */
export function meanSquare(g: GraphBuilder, predicted: Value, target: Value): Value {
  return g.mean(
    g.square(g.sub(predicted, target)),
    predicted.shape.map((_, axis) => axis),
  )
}
