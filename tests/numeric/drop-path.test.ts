import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { lower } from '#engine/lowering/lower.ts'
import { presets } from '#engine/presets.ts'
import { streams, uniform } from '#engine/random/philox.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { lossGraph } from '#engine/training/loss-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe = (depth: number): Recipe => ({
  ...tiny,
  textEncoder: null,
  model: { ...tiny.model, embedDim: 16, height: 8, width: 8, condition: { kind: 'none' }, depth, dropPath: 0.6 },
})

// More than 32 pieces of one tensor are cut in groups.
test.each([1, 3, 34])(
  'the factors of %i layers are those of the numbers drawn for each, and are drawn and compared once',
  async (depth) => {
    const { graph } = lossGraph(recipe(depth), 3, { training: true })
    const keeps = graph.nodes.filter(({ op }) => op === 'AddNormModulate').flatMap(({ inputs }) => inputs[6] ?? [])
    expect(keeps).toHaveLength(depth)
    keeps.forEach((keep, i) => graph.output(`keep.${i}`, keep))
    expect(lower(graph).nodes.filter(({ op }) => op === 'Where' || op === 'Less')).toHaveLength(2)

    const [seed, step, samples] = [11, 5, [0, 7, 8]]
    const factors = await evaluate(runtime, graph, {
      seed: BigInt64Array.of(BigInt(seed)),
      step: BigInt64Array.of(BigInt(step)),
      sample: BigInt64Array.from(samples, BigInt),
      images: numbers(3 * 3 * 8 * 8),
    })
    const drawn = samples.map((sample) => uniform(depth, { seed, stream: streams.dropPath, step, sample }))
    for (let i = 0; i < depth; i++) {
      const rate = depth > 1 ? (0.6 * i) / (depth - 1) : 0
      expect([...factors[`keep.${i}`]!], `layer ${i + 1}`).toEqual(
        drawn.map((u) => (u[i]! < Math.fround(rate) ? 0 : Math.fround(1 / (1 - rate)))),
      )
    }
  },
)
