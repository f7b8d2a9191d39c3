/**
 * Classifier-free guidance: uncond + cfgScale (cond - uncond), on all channels (spec 3.7). `both` holds the conditional half first,
 * then the unconditional one; the result is as long as one half.
 */
export function guide(both: Float32Array, cfgScale: number): Float32Array {
  const half = both.length / 2
  return both.subarray(half).map((uncond, i) => uncond + cfgScale * (both[i]! - uncond))
}
