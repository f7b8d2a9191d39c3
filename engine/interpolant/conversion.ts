import type { InterpolantPath } from './path.ts'

/*
 * What a network predicts, turned into what is needed: one number of x and one of the prediction at time t (spec 3.4).
 * With a, s the path and da, ds its derivatives, v = da data + ds noise and x = a data + s noise.
 */

/** score = (a v - da x) / (s (da s - a ds)) */
export function scoreFromVelocity(path: InterpolantPath, t: number, x: number, velocity: number): number {
  const [a, s, da, ds] = [path.alpha(t), path.sigma(t), path.dAlpha(t), path.dSigma(t)]
  return (a * velocity - da * x) / (s * (da * s - a * ds))
}

/** noise = (a v - da x) / (a ds - da s) */
export function noiseFromVelocity(path: InterpolantPath, t: number, x: number, velocity: number): number {
  const [a, s, da, ds] = [path.alpha(t), path.sigma(t), path.dAlpha(t), path.dSigma(t)]
  return (a * velocity - da * x) / (a * ds - da * s)
}

/** denoised = (s v - ds x) / (s da - a ds) */
export function denoisedFromVelocity(path: InterpolantPath, t: number, x: number, velocity: number): number {
  const [a, s, da, ds] = [path.alpha(t), path.sigma(t), path.dAlpha(t), path.dSigma(t)]
  return (s * velocity - ds * x) / (s * da - a * ds)
}

export const scoreFromNoise = (path: InterpolantPath, t: number, noise: number): number => -noise / path.sigma(t)
export const noiseFromScore = (path: InterpolantPath, t: number, score: number): number => -path.sigma(t) * score

/** w_SBDM = (da/a) s² - s ds, the diffusion that makes the score's drift a velocity (spec 3.1). */
export function sbdmDiffusion(path: InterpolantPath, t: number): number {
  const s = path.sigma(t)
  return (path.dAlpha(t) / path.alpha(t)) * s * s - s * path.dSigma(t)
}

/** v = (da/a) x + g score */
export function velocityFromScore(path: InterpolantPath, t: number, x: number, score: number): number {
  return (path.dAlpha(t) / path.alpha(t)) * x + sbdmDiffusion(path, t) * score
}
