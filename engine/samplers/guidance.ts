/**
 * Classifier-free guidance: uncond + cfgScale (cond - uncond), on all channels (spec 3.7). `both` holds the conditional half first,
 * then the unconditional one; the result is as long as one half.
 */
export function guide(both: Float32Array, cfgScale: number): Float32Array {
  const guided = new Float32Array(both.length / 2)
  for (let i = 0; i < guided.length; i++) {
    const uncond = both[guided.length + i]!
    guided[i] = uncond + cfgScale * (both[i]! - uncond)
  }
  return guided
}
