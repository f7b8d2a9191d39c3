import { describe, expect, test } from 'vitest'
import type { ModelSpec } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { countedNodes, workOf } from '#engine/floor.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType, Graph } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { mixer, type Direction } from '#engine/models/zigma/mixer.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallSpec } from '#tests/support/small-networks.ts'

const [batch, length] = [2, 70]

/** A mixer with its gradients or, as in drawing, without. */
function mixed(
  spec: ModelSpec,
  float: DType,
  { suffixes = [''], gradients = false }: { suffixes?: Direction['suffix'][]; gradients?: boolean },
) {
  const g = new GraphBuilder(float)
  const tokens = g.input('tokens', [batch, length, spec.embedDim])
  const permutation = g.ints(Array.from({ length }, (_, i) => (i * 3) % length), [length]) // prettier-ignore
  const directions = suffixes.map((suffix) => ({ permutation, suffix }))
  const y = mixer(g, spec, tokens, 'm', directions)
  g.output('y', y)
  const parameters = [...g.parameters.values()]
  if (gradients) backward(g, g.sum(g.square(y), [0, 1, 2]), parameters).forEach((gradient, i) => g.output(`d${i}`, gradient))
  return g
}

const counts = (g: Graph) =>
  Object.fromEntries([...Map.groupBy(countedNodes(g), ({ node }) => node.op)].map(([op, { length }]) => [op, length]))
const nodeOf = (g: Graph, op: string) => loweredNodes(g, 'native').nodes.find((node) => node.op === op)!

describe('in drawing, what a mixer convolves and what gates its result are columns of one product', () => {
  const spec = smallSpec({ embedDim: 32, stateDim: 2 })

  test('of the whole weight, which nothing cuts; a training computes and keeps them apart', () => {
    expect(counts(mixed(spec, 'f32', {}))).toMatchObject({ Gemm: 5, ScanConv: 1, SelectiveScan: 1 })
    expect(counts(mixed(spec, 'f32', {}))).not.toHaveProperty('Split')
    expect(nodeOf(mixed(spec, 'f32', {}), 'ScanConv').inputs[0]!.shape).toEqual([batch, length, 2 * 64])
    expect(nodeOf(mixed(spec, 'f32', {}), 'SelectiveScan').attributes).toMatchObject({ zColumn: 64 })
    const trained = nodeOf(mixed(spec, 'f32', { gradients: true }), 'ScanConv')
    expect(trained.inputs[0]!.shape).toEqual([batch, length, 64])
  })

  test.each([
    ['one way through the tokens', spec, ['']],
    ['both ways', spec, ['', '_b']],
    ['an odd width', smallSpec({ embedDim: 17, expand: 1 }), ['']],
  ] as [string, ModelSpec, Direction['suffix'][]][])('with the numbers of the plain graph: %s', async (_, model, suffixes) => {
    const feeds = smallFeeds(mixed(model, 'f32', { suffixes }))
    const exact = Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, Float64Array.from(data as Float32Array)]))
    const drawn = await evaluate(runtime, mixed(model, 'f32', { suffixes }), feeds)
    const apart = await evaluate(runtime, mixed(model, 'f32', { suffixes, gradients: true }), feeds)
    const plain = await evaluate(runtime, mixed(model, 'f64', { suffixes }), exact)
    expect(relativeError(drawn.y!, plain.y!)).toBeLessThan(2e-6)
    expect(relativeError(drawn.y!, apart.y!)).toBeLessThan(1e-6)
  })

  test('but not in float64, nor in portable form, nor where something else reads one of them', () => {
    const cuts = (g: Graph, form: 'native' | 'portable' = 'native') => loweredNodes(g, form).nodes.filter(({ op }) => op === 'Split').length
    expect([cuts(mixed(spec, 'f32', {})), cuts(mixed(spec, 'f64', {})), cuts(mixed(spec, 'f32', {}), 'portable')]).toEqual([0, 2, 2])
    const watched = mixed(spec, 'f32', {})
    watched.output('z', watched.nodes.find(({ op }) => op === 'SelectiveScan')!.inputs[6]!)
    expect(cuts(watched)).toBe(1)
  })

  test('of which both read their own alone: their floors are those of tokens by themselves', () => {
    const [drawn, apart] = [mixed(spec, 'f32', {}), mixed(spec, 'f32', { gradients: true })]
    for (const op of ['ScanConv', 'SelectiveScan'])
      expect(
        workOf(nodeOf(drawn, op), () => false),
        op,
      ).toEqual(workOf(nodeOf(apart, op), () => false))
  })

  test('and in two stages the whole weight is what is kept', () => {
    const { prepare, step } = stagesOf(mixed(spec, 'f32', {}), new Set())
    const products = loweredNodes(step, 'native').nodes.filter(({ op }) => op === 'Gemm')
    expect(products.map(({ outputs }) => outputs[0]!.shape[1])).toContain(2 * 64)
    expect(loweredNodes(step, 'native').nodes.some(({ op }) => op === 'Split')).toBe(false)
    expect([...(prepare?.outputs.values() ?? [])].some((value) => value.node?.op === 'Split')).toBe(false)
  })
})
