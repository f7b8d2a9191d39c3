import type { Sampler } from './sampler.ts'

/** Euler's method: one network evaluation a step, error of first order. */
export const euler: Sampler = (times) =>
  times.slice(1).map((next, step) => {
    const dt = next - times[step]!
    return { time: times[step]!, ahead: dt, advance: dt, endsStep: true }
  })

/** Heun's method (the explicit trapezoid), x + dt/2 (v(x, t) + v(x + dt v(x, t), t + dt)): two evaluations a step, error of second order. */
export const heun: Sampler = (times) =>
  times.slice(1).flatMap((next, step) => {
    const dt = next - times[step]!
    return [
      { time: times[step]!, ahead: dt, advance: dt / 2, endsStep: false },
      { time: next, ahead: dt / 2, advance: dt / 2, endsStep: true },
    ]
  })

export const samplers: Record<'euler' | 'heun', Sampler> = { euler, heun }
