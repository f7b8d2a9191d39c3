import { describe, expect, test } from 'vitest'
import { guide } from '#engine/samplers/guidance.ts'
import { sampleEuler, sampleHeun } from '#engine/samplers/ode.ts'
import { uniformTimes, type Sampler, type VelocityFn } from '#engine/samplers/sampler.ts'

const mean = 0.5
const deviation = 0.3

/**
 * The exact velocity of the linear path for Gaussian data N(mean, deviation²): with total variance v = t² deviation² + (1-t)²,
 * E[data | x] = mean + t deviation² (x - t mean) / v and E[noise | x] = (1-t) (x - t mean) / v.
 */
const gaussianVelocity: VelocityFn = (x, t) => {
  const variance = t * t * deviation * deviation + (1 - t) ** 2
  return Promise.resolve(
    x.map((xi) => {
      const r = (xi - t * mean) / variance
      return mean + t * deviation * deviation * r - (1 - t) * r
    }),
  )
}

/** Noise z arrives at mean + deviation z: the probability flow of a Gaussian keeps quantiles. */
async function worstError(sampler: Sampler, steps: number): Promise<number> {
  const noise = Float32Array.from([-2, -1, -0.3, 0, 0.5, 1.7])
  const x = await sampler(gaussianVelocity, noise, { times: uniformTimes(steps) })
  return Math.max(...noise.map((z, i) => Math.abs(x[i]! - (mean + deviation * z))))
}

describe.each([
  ['euler', sampleEuler, 1],
  ['heun', sampleHeun, 2],
] as const)('%s', (_name, sampler, order) => {
  test('carries noise to the data Gaussian', async () => {
    expect(await worstError(sampler, 400)).toBeLessThan(5e-3)
  })

  test(`halves the step, divides the error by about 2^${order}`, async () => {
    const ratio = (await worstError(sampler, 20)) / (await worstError(sampler, 40))
    expect(Math.log2(ratio)).toBeGreaterThan(order - 0.35)
    expect(Math.log2(ratio)).toBeLessThan(order + 0.6)
  })

  test('reports each step and stops where it is told to', async () => {
    const stop = new AbortController()
    const seen: number[] = []
    const run = sampler(gaussianVelocity, new Float32Array(2), {
      times: uniformTimes(10),
      signal: stop.signal,
      onStep: ({ step }) => {
        seen.push(step)
        if (step === 3) stop.abort()
      },
    })
    await expect(run).rejects.toThrow(/abort/i)
    expect(seen).toEqual([0, 1, 2, 3])
  })
})

describe('guidance', () => {
  const both = Float32Array.from([3, 5, 1, 1])
  test('of 1 is the conditional prediction, of 0 the unconditional one', () => {
    expect([...guide(both, 1)]).toEqual([3, 5])
    expect([...guide(both, 0)]).toEqual([1, 1])
  })
  test('of 2 goes as far beyond the conditional as that is from the unconditional', () => {
    expect([...guide(both, 2)]).toEqual([5, 9])
  })
})
