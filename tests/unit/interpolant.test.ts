import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  denoisedFromVelocity,
  noiseFromScore,
  noiseFromVelocity,
  scoreFromNoise,
  scoreFromVelocity,
  velocityFromScore,
} from '#engine/interpolant/conversion.ts'
import { paths, type PathName } from '#engine/interpolant/path.ts'

const names = Object.keys(paths) as PathName[]
const inner = fc.double({ min: 0.02, max: 0.98, noNaN: true })
const value = fc.double({ min: -3, max: 3, noNaN: true })

describe.each(names)('the %s path', (name) => {
  const path = paths[name]

  test('ends at data and starts at noise', () => {
    expect(path.alpha(1)).toBeCloseTo(1, 12)
    expect(path.sigma(1)).toBeCloseTo(0, 12)
    expect(path.sigma(0)).toBeCloseTo(1, 4)
    expect(path.alpha(0)).toBeLessThan(0.01)
  })

  test('has the derivatives that differences show', () => {
    const h = 1e-6
    fc.assert(
      fc.property(inner, (t) => {
        expect(path.dAlpha(t)).toBeCloseTo((path.alpha(t + h) - path.alpha(t - h)) / (2 * h), 5)
        expect(path.dSigma(t)).toBeCloseTo((path.sigma(t + h) - path.sigma(t - h)) / (2 * h), 5)
      }),
    )
  })

  test('gives back data, noise and score from the velocity that was made of them', () => {
    fc.assert(
      fc.property(inner, value, value, (t, data, noise) => {
        const x = path.alpha(t) * data + path.sigma(t) * noise
        const velocity = path.dAlpha(t) * data + path.dSigma(t) * noise
        expect(denoisedFromVelocity(path, t, x, velocity)).toBeCloseTo(data, 6)
        expect(noiseFromVelocity(path, t, x, velocity)).toBeCloseTo(noise, 6)
        const score = scoreFromVelocity(path, t, x, velocity)
        expect(score).toBeCloseTo(scoreFromNoise(path, t, noise), 5)
        expect(noiseFromScore(path, t, score)).toBeCloseTo(noise, 6)
        expect(velocityFromScore(path, t, x, score)).toBeCloseTo(velocity, 4)
      }),
    )
  })
})

test('gvp keeps the variance: alpha² + sigma² = 1, and so does vp', () => {
  for (const t of [0, 0.1, 0.5, 0.9, 1]) {
    for (const name of ['gvp', 'vp'] as const) expect(paths[name].alpha(t) ** 2 + paths[name].sigma(t) ** 2).toBeCloseTo(1, 12)
  }
})
