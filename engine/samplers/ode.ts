import type { SampleOptions, Sampler, VelocityFn } from './sampler.ts'

/** x + dt v, element by element, rounded to float32. A plain loop: `map` calls a function for every element and takes five times as long. */
function axpy(x: Float32Array, dt: number, v: Float32Array): Float32Array {
  const moved = new Float32Array(x.length)
  for (let i = 0; i < moved.length; i++) moved[i] = x[i]! + dt * v[i]!
  return moved
}

/** (a + b) / 2, element by element. */
function mean(a: Float32Array, b: Float32Array): Float32Array {
  const means = new Float32Array(a.length)
  for (let i = 0; i < means.length; i++) means[i] = (a[i]! + b[i]!) / 2
  return means
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
    x = axpy(x, next - t, mean(before, after))
    onStep?.({ step, steps: times.length - 1, x })
  }
  return x
}

export const samplers: Record<'euler' | 'heun', Sampler> = { euler: sampleEuler, heun: sampleHeun }
