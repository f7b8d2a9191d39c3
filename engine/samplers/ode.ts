import type { SampleOptions, Sampler, VelocityFn } from './sampler.ts'

/** x + dt v, element by element, in float32. */
function axpy(x: Float32Array, dt: number, v: Float32Array): Float32Array {
  return x.map((xi, i) => xi + dt * v[i]!)
}

/** Euler's method on the probability flow dx/dt = v(x, t): one network evaluation a step, error of first order. */
export const sampleEuler: Sampler = async (velocity: VelocityFn, noise: Float32Array, { times, signal, onStep }: SampleOptions) => {
  let x = noise
  for (let step = 0; step + 1 < times.length; step++) {
    signal?.throwIfAborted()
    const [t, next] = [times[step]!, times[step + 1]!]
    x = axpy(x, next - t, await velocity(x, t))
    onStep?.({ step, steps: times.length - 1, x })
  }
  return x
}

/** Heun's method (the explicit trapezoid): two evaluations a step, error of second order. */
export const sampleHeun: Sampler = async (velocity: VelocityFn, noise: Float32Array, { times, signal, onStep }: SampleOptions) => {
  let x = noise
  for (let step = 0; step + 1 < times.length; step++) {
    signal?.throwIfAborted()
    const [t, next] = [times[step]!, times[step + 1]!]
    const before = await velocity(x, t)
    const after = await velocity(axpy(x, next - t, before), next)
    x = axpy(
      x,
      (next - t) / 2,
      before.map((v, i) => v + after[i]!),
    )
    onStep?.({ step, steps: times.length - 1, x })
  }
  return x
}

export const samplers: Record<'euler' | 'heun', Sampler> = { euler: sampleEuler, heun: sampleHeun }
