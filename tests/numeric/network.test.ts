import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import type { ModelSpec } from '#contracts/recipe.ts'
import type { ConstantData } from '#engine/graph/value.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const networks: Record<string, Partial<ModelSpec>> = {
  'no condition': {},
  classes: { condition: { kind: 'class', classes: 4 }, positionEmbedding: 1 },
  'text and LayerNorm': { condition: textCondition, norm: 'layer' },
  'patches of one pixel': { patchSize: 1 },
  'as many states as its step size has ranks': { stateDim: 2 },
  'two directions and no positions': { scan: { kind: 'bidirectional', count: 1 }, positionEmbedding: 0 },
}

describe.each(Object.entries(networks))('a network with %s', (_, changes) => {
  const spec = smallSpec(changes)

  test('gives in portable form what it gives with native operations, in float32', async () => {
    const { g, velocity } = smallNetwork(spec, 'f32')
    g.output('velocity', velocity)
    const feeds = smallFeeds(g)
    const [native, portable] = [await evaluate(runtime, g, feeds), await evaluate(runtime, g, feeds, 'portable')]
    expect(relativeError(portable.velocity!, native.velocity!)).toBeLessThan(2e-6)
  })

  test('gives in float32 what the double-precision reference gives', async () => {
    const run = async (float: 'f32' | 'f64') => {
      const { g, velocity } = smallNetwork(spec, float)
      g.output('velocity', velocity)
      return (await evaluate(runtime, g, smallFeeds(g))).velocity!
    }
    // The sinusoids of time have angles up to 1000, which float32 rounds at the fifth decimal.
    expect(relativeError(await run('f32'), await run('f64'))).toBeLessThan(5e-5)
  })

  test('gives each picture alone, with its share of the gradients, what it gives in a batch, in float64', async () => {
    const build = (batch: number) => {
      const { g, velocity } = smallNetwork(spec, 'f64', batch)
      g.output('velocity', velocity)
      const names = [...g.parameters.keys()]
      const loss = g.sum(g.square(velocity), [0, 1, 2, 3])
      backward(g, loss, [...g.parameters.values()]).forEach((gradient, i) => g.output(`d/${names[i]}`, gradient))
      return g
    }
    const both = build(2)
    const feeds = smallFeeds(both)
    const together = await evaluate(runtime, both, feeds)
    const halfOf = (values: ConstantData, i: number) => values.slice((i * values.length) / 2, ((i + 1) * values.length) / 2) as ConstantData
    const feedsOf = (i: number) =>
      Object.fromEntries(Object.entries(feeds).map(([name, values]) => [name, both.inputs.has(name) ? halfOf(values, i) : values]))
    const [first, second] = [await evaluate(runtime, build(1), feedsOf(0)), await evaluate(runtime, build(1), feedsOf(1))]
    for (const [name, whole] of Object.entries(together)) {
      const [a, b] = [first[name]!, second[name]!].map((values) => Float64Array.from(values as Float64Array))
      const apart = name === 'velocity' ? Float64Array.from([...a!, ...b!]) : a!.map((x, i) => x + b![i]!)
      expect(relativeError(apart, whole), name).toBeLessThan(1e-12)
    }
  })

  test('has the gradient that its slope along random directions has, in float64', async () => {
    const build = (withGradients: boolean) => {
      const { g, velocity } = smallNetwork(spec, 'f64')
      const weights = g.floats(numbers(2 * 3 * 6 * 4, { seed: 99 }), velocity.shape)
      const loss = g.sum(g.mul(velocity, weights), [0, 1, 2, 3])
      g.output('loss', loss)
      if (withGradients) {
        const names = [...g.parameters.keys()]
        backward(g, loss, [...g.parameters.values()]).forEach((gradient, i) => {
          g.output(`d/${names[i]}`, gradient)
        })
      }
      return g
    }
    const g = build(true)
    const feeds = smallFeeds(g) as Record<string, Float64Array>
    const gradients = await evaluate(runtime, g, feeds)
    const h = 1e-5
    let slope = 0
    const moved = (sign: number) =>
      Object.fromEntries(
        Object.entries(feeds).map(([name, values]) => {
          if (!g.parameters.has(name)) return [name, values]
          const direction = numbers(values.length, { seed: name.length + values.length })
          if (sign > 0) slope += direction.reduce((sum, x, i) => sum + x * gradients[`d/${name}`]![i]!, 0)
          return [name, values.map((x, i) => x + sign * h * direction[i]!)]
        }),
      )
    const lossAt = async (sign: number) => (await evaluate(runtime, build(false), moved(sign))).loss![0]!
    const numericSlope = ((await lossAt(1)) - (await lossAt(-1))) / (2 * h)
    expect(Math.abs(slope / numericSlope - 1)).toBeLessThan(1e-6)
  })
})

test.each(['baseline', 'avx2', 'avx512'])('the gradients of the %s kernels are those of the double-precision reference', async (set) => {
  const script = fileURLToPath(new URL('../support/gradient-errors.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script], { env: { ...process.env, ZIGMA_INSTRUCTION_SET: set } })
  const errors = JSON.parse(stdout) as Record<string, number>
  expect(Object.keys(errors)).toContain('blocks.1.mixer.A_log')
  expect(Object.entries(errors).filter(([, error]) => error > 5e-5)).toEqual([])
})
