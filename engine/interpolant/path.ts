/**
 * How noise becomes data: x_t = alpha(t) data + sigma(t) noise, t = 0 noise, t = 1 data (spec 3.1). A path is these four functions of time.
 */
export interface InterpolantPath {
  alpha(t: number): number
  sigma(t: number): number
  dAlpha(t: number): number
  dSigma(t: number): number
}

export type PathName = 'linear' | 'gvp' | 'vp'

const halfPi = Math.PI / 2
const betaMin = 0.1
const betaMax = 20

/** Logarithm of alpha on the variance-preserving path, and its derivative (spec 3.1). */
const logAlpha = (t: number) => -0.25 * (1 - t) ** 2 * (betaMax - betaMin) - 0.5 * (1 - t) * betaMin
const dLogAlpha = (t: number) => 0.5 * (1 - t) * (betaMax - betaMin) + 0.5 * betaMin

const vpSigma = (t: number) => Math.sqrt(1 - Math.exp(2 * logAlpha(t)))

export const paths: Record<PathName, InterpolantPath> = {
  linear: { alpha: (t) => t, sigma: (t) => 1 - t, dAlpha: () => 1, dSigma: () => -1 },
  gvp: {
    alpha: (t) => Math.sin(halfPi * t),
    sigma: (t) => Math.cos(halfPi * t),
    dAlpha: (t) => halfPi * Math.cos(halfPi * t),
    dSigma: (t) => -halfPi * Math.sin(halfPi * t),
  },
  vp: {
    alpha: (t) => Math.exp(logAlpha(t)),
    sigma: vpSigma,
    dAlpha: (t) => dLogAlpha(t) * Math.exp(logAlpha(t)),
    dSigma: (t) => (-Math.exp(2 * logAlpha(t)) * dLogAlpha(t)) / vpSigma(t),
  },
}
