import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { guide } from '#engine/samplers/guidance.ts'
import { euler, heun } from '#engine/samplers/ode.ts'
import { uniformTimes, type Sampler } from '#engine/samplers/sampler.ts'
import { runtime } from '#tests/support/differences.ts'
import { carried } from '#tests/support/carried.ts'

const mean = 0.5
const deviation = 0.3

/**
 * The exact velocity of the linear path for Gaussian data N(mean, deviation²): with total variance v = t² deviation² + (1-t)²,
 * E[data | x] = mean + t deviation² (x - t mean) / v and E[noise | x] = (1-t) (x - t mean) / v.
 */
function gaussianVelocity(x: Float64Array, t: number): Float64Array {
  const variance = t * t * deviation * deviation + (1 - t) ** 2
  return x.map((xi) => {
    const r = (xi - t * mean) / variance
    return mean + t * deviation * deviation * r - (1 - t) * r
  })
}

/** Noise z arrives at mean + deviation z: the probability flow of a Gaussian keeps quantiles. */
async function worstError(sampler: Sampler, steps: number): Promise<number> {
  const noise = Float64Array.from([-2, -1, -0.3, 0, 0.5, 1.7])
  const x = await carried(gaussianVelocity, noise, sampler(uniformTimes(steps)))
  return Math.max(...noise.map((z, i) => Math.abs(x[i]! - (mean + deviation * z))))
}

describe.each([
  ['euler', euler, 1],
  ['heun', heun, 2],
] as const)('%s', (_name, sampler, order) => {
  test('carries noise to the data Gaussian', async () => {
    expect(await worstError(sampler, 400)).toBeLessThan(5e-3)
  })

  test(`halves the step, divides the error by about 2^${order}`, async () => {
    const ratio = (await worstError(sampler, 20)) / (await worstError(sampler, 40))
    expect(Math.log2(ratio)).toBeGreaterThan(order - 0.35)
    expect(Math.log2(ratio)).toBeLessThan(order + 0.6)
  })

  test(`evaluates the network ${order} times a step, and the last of them ends it`, () => {
    const evaluations = sampler([0, 0.25, 1])
    expect(evaluations.map(({ endsStep }) => endsStep)).toEqual([1, 2].flatMap(() => [...Array<boolean>(order - 1).fill(false), true]))
    expect(evaluations[order]!.time).toBe(0.25)
  })
})

describe('guidance', () => {
  const guided = async (cfgScale: number) => {
    const g = new GraphBuilder()
    g.output('guided', guide(g, g.input('both', [2, 2]), g.input('cfgScale', [1])))
    const { guided } = await evaluate(runtime, g, { both: Float32Array.from([3, 5, 1, 1]), cfgScale: Float32Array.of(cfgScale) })
    return [...guided!]
  }
  test('of 1 is the conditional prediction, of 0 the unconditional one', async () => {
    expect(await guided(1)).toEqual([3, 5])
    expect(await guided(0)).toEqual([1, 1])
  })
  test('of 2 goes as far beyond the conditional as that is from the unconditional', async () => {
    expect(await guided(2)).toEqual([5, 9])
  })
})
