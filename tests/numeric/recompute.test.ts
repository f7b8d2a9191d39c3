import { expect, test } from 'vitest'
import type { ModelSpec, Recipe } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { twoSteps } from '#tests/support/two-steps.ts'

const policies = ['speed', 'balanced', 'memory'] as const
const tiny = presets.find(({ name }) => name === 'tiny')!.recipe

const recipeOf = (model: Partial<ModelSpec>, batchSize: number): Recipe => ({ ...tiny, batchSize, model: { ...tiny.model, ...model } })
const small = { embedDim: 32, depth: 4, height: 16, width: 16, dropPath: 0.2 } as const

test.each([
  ['with text and stochastic depth', recipeOf(small, 2)],
  [
    'without a condition, both ways through the tokens',
    {
      ...recipeOf({ ...small, condition: { kind: 'none' }, scan: { kind: 'bidirectional', count: 1 }, norm: 'layer' }, 2),
      textEncoder: null,
    },
  ],
])('whatever is computed again, two steps of a network %s end with the same bits', async (_, recipe) => {
  const [speed, ...others] = await Promise.all(policies.map((policy) => twoSteps(recipe, policy)))
  for (const other of others) {
    expect(other.results).toEqual(speed!.results)
    expect(other.weights).toEqual(speed!.weights)
  }
})

test('each policy takes less memory than the one before it', async () => {
  const recipe = recipeOf({ embedDim: 64, depth: 6 }, 16)
  const peaks = []
  for (const policy of policies) peaks.push((await twoSteps(recipe, policy)).peakBytes)
  const [speed, balanced, memory] = peaks as [number, number, number]
  expect(balanced).toBeLessThan(0.75 * speed)
  expect(memory).toBeLessThan(0.45 * speed)
})

test('a value that is computed again has the gradient that it had', async () => {
  const gradients = async (policy: Recipe['recompute']) => {
    const g = new GraphBuilder('f64')
    const w = g.parameter('w', [3])
    let h = g.input('x', [3])
    for (let layer = 0; layer < 3; layer++) {
      g.border([h])
      h = g.mul(g.sin(g.mul(h, w)), g.exp(h))
    }
    g.border([h])
    g.output('dw', backward(g, g.sum(g.square(h), [0]), [w], policy)[0]!)
    const { dw } = await evaluate(runtime, g, { x: Float64Array.of(0.1, 0.2, 0.3), w: Float64Array.of(1, 2, 3) })
    return [...dw!]
  }
  expect(await gradients('memory')).toEqual(await gradients('speed'))
})
