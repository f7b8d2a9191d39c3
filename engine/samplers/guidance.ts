import type { GraphBuilder } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'

/**
 * Classifier-free guidance: uncond + cfgScale (cond - uncond), on all channels (spec 3.7). `both` [2B, ...] holds the conditional half first, then the
 * unconditional one; `cfgScale` is [1]. [B, ...]
 */
export function guide(g: GraphBuilder, both: Value, cfgScale: Value): Value {
  const batch = both.shape[0]! / 2
  const [cond, uncond] = g.split(both, 0, [batch, batch]) as [Value, Value]
  return g.add(uncond, g.mul(cfgScale, g.sub(cond, uncond)))
}
