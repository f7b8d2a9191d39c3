/** The network as a sampler sees it: the velocity at every element of `x` at time t; both hold the same number of elements. */
export type VelocityFn = (x: Float32Array, t: number) => Promise<Float32Array>

export interface SampleOptions {
  /** Increasing times from 0 (noise) to 1 (data); one step between each two. */
  times: readonly number[]
  signal?: AbortSignal
  onStep?: (progress: { step: number; steps: number; x: Float32Array }) => void
}

export type Sampler = (velocity: VelocityFn, noise: Float32Array, options: SampleOptions) => Promise<Float32Array>

/** `steps` equal steps from noise to data: steps + 1 times. */
export function uniformTimes(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, i) => i / steps)
}
