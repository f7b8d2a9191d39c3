import { expect, test } from 'vitest'
import type { ModelSpec, Recipe } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { initialParameters } from '#engine/models/initialization.ts'
import { trainStep } from '#engine/optim/train-step.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { joinBlocks } from '#engine/training/join-blocks.ts'
import { lossGraph } from '#engine/training/loss-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const policies = ['speed', 'balanced', 'memory'] as const
const tiny = presets.find(({ name }) => name === 'tiny')!.recipe

const recipeOf = (model: Partial<ModelSpec>, batchSize: number): Recipe => ({ ...tiny, batchSize, model: { ...tiny.model, ...model } })
const small = { embedDim: 32, depth: 4, height: 16, width: 16, dropPath: 0.2 } as const

/** Two steps of a recipe: losses and gradient norms, all weights afterwards, and what the steps took beside inputs and outputs. */
async function twoSteps(recipe: Recipe, policy: Recipe['recompute']) {
  const { graph, loss } = lossGraph(recipe, recipe.batchSize, { training: true })
  joinBlocks(graph)
  trainStep(graph, loss, policy)
  using program = await TrainProgram.compile(runtime, graph, { memoryPattern: false })
  for (const [name, values] of initialParameters(graph, 1, recipe.model.depth)) {
    const shaken = numbers(values.length, { seed: name.length, low: -0.05, high: 0.05 }) // gates and last layers begin at 0, which would hide mistakes
    program.weights.write(
      name,
      values.map((x, i) => x + shaken[i]!),
    )
  }
  program.batch.write('images', Float32Array.from(numbers(recipe.batchSize * 3 * recipe.model.height ** 2, { seed: 3 })))
  if (recipe.textEncoder)
    program.batch.write(
      'ids',
      Int32Array.from({ length: recipe.batchSize * recipe.textEncoder.tokens }, (_, i) => i % 60),
    )
  program.batch.write(
    'sample',
    BigInt64Array.from({ length: recipe.batchSize }, (_, i) => BigInt(i)),
  )
  const results = []
  for (const step of [1, 2]) results.push(await program.step({ ...recipe.optimizer, step }))
  return {
    results,
    weights: Object.fromEntries([...program.weights.tensors.keys()].map((name) => [name, program.weights.floats(name)])),
    peakBytes: program.memory().peakBytes,
  }
}

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
