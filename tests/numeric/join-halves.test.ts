import { describe, expect, test } from 'vitest'
import type { ModelSpec, Recipe } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { countedNodes, workOf } from '#engine/floor.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType, Graph } from '#engine/graph/value.ts'
import { joinFewRows } from '#engine/lowering/join-halves.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { mixer, type Direction } from '#engine/models/zigma/mixer.ts'
import { relativeError } from '#engine/relative-error.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallSpec } from '#tests/support/small-networks.ts'
import { twoSteps } from '#tests/support/two-steps.ts'

const batch = 2
const length = 70

/** A mixer with its gradients, products `joined` before they are taken or not; or, as in drawing, without. */
function mixed(
  spec: ModelSpec,
  float: DType,
  {
    suffixes = [''],
    gradients = false,
    joined = false,
    length = 70,
  }: { suffixes?: Direction['suffix'][]; gradients?: boolean; joined?: boolean; length?: number },
) {
  const g = new GraphBuilder(float)
  const tokens = g.parameter('tokens', [batch, length, spec.embedDim])
  const permutation = g.ints(Array.from({ length }, (_, i) => (i * 3) % length), [length]) // prettier-ignore
  const directions = suffixes.map((suffix) => ({ permutation, suffix }))
  const y = mixer(g, spec, tokens, 'm', directions)
  g.output('y', y)
  if (joined) joinFewRows(g)
  const parameters = [...g.parameters]
  if (gradients)
    backward(
      g,
      g.sum(g.square(y), [0, 1, 2]),
      parameters.map(([, value]) => value),
    ).forEach((gradient, i) => g.output(`d ${parameters[i]![0]}`, gradient))
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

/** Products of any kind, and what copies or adds tokens. */
const opsOf = (g: Graph) =>
  loweredNodes(g, 'native').nodes.map(({ op }) => op).filter((op) => ['Gemm', 'MatMul', 'Split', 'Concat', 'Add'].includes(op)) // prettier-ignore
const productsOf = (g: Graph) => opsOf(g).filter((op) => op === 'Gemm' || op === 'MatMul').length

describe('in training of few tokens the halves are joined before gradients are taken', () => {
  const spec = smallSpec({ embedDim: 32, stateDim: 2 })
  const trained = (options: Parameters<typeof mixed>[2], float: DType = 'f32', model = spec) =>
    mixed(model, float, { gradients: true, ...options })

  test('so that there is one product forward and one for each gradient, and nothing is cut, laid together or added', () => {
    const [joined, apart] = [trained({ joined: true }), trained({})]
    expect(productsOf(joined)).toBe(productsOf(apart) - 3)
    const copies = (g: Graph) => opsOf(g).filter((op) => op === 'Split' || op === 'Concat' || op === 'Add').length
    expect(copies(joined)).toBe(copies(apart) - 3) // the weight's cut, its gradient, and the sum of the two of the tokens
    const [scan, filling] = loweredNodes(joined, 'native').nodes.filter(({ op }) => /Scan.*Grad/.test(op))
    expect(scan!.attributes).toMatchObject({ zColumn: 64, dzRows: 1 })
    expect(filling!.attributes).toMatchObject({ xColumn: 0 })
    expect(filling!.inputs[6]).toBe(scan!.outputs[6])
    expect(filling!.outputs[0]!.shape).toEqual([batch, length, 2 * 64])
  })

  test.each([
    ['one way through the tokens', spec],
    ['an odd width', smallSpec({ embedDim: 17, expand: 1 })],
  ] as [string, ModelSpec][])('with the results and gradients of the plain graph: %s', async (_, model) => {
    const feeds = smallFeeds(trained({}, 'f32', model))
    const exact = Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, Float64Array.from(data as Float32Array)]))
    const joined = await evaluate(runtime, trained({ joined: true }, 'f32', model), feeds)
    const plain = await evaluate(runtime, trained({}, 'f64', model), exact)
    expect(Object.keys(joined)).toEqual(Object.keys(plain))
    for (const name of Object.keys(plain)) expect(relativeError(joined[name]!, plain[name]!), name).toBeLessThan(3e-6)
  })

  test('but not of more than 2048, nor both ways through them, nor in float64', () => {
    const isJoined = (options: Parameters<typeof mixed>[2], float: DType = 'f32') => productsOf(trained({ ...options, joined: true }, float)) < productsOf(trained(options, float)) // prettier-ignore
    expect([isJoined({ length: 1024 }), isJoined({ length: 1025 })]).toEqual([true, false])
    expect([isJoined({ suffixes: ['', '_b'] }), isJoined({}, 'f64')]).toEqual([false, false])
  })

  test('and read and write no more than their own: the floors of their gradients are those of tokens by themselves', () => {
    const [joined, apart] = [trained({ joined: true }), trained({})]
    for (const op of ['ScanConvGrad', 'SelectiveScanGrad']) expect(workOf(nodeOf(joined, op)), op).toEqual(workOf(nodeOf(apart, op)))
  })

  test('a gradient is not put into rows that have no place for it', async () => {
    const g = new GraphBuilder('f32')
    const [x, weight, bias] = [g.input('x', [1, 4, 3]), g.input('weight', [3, 4]), g.input('bias', [3])]
    const inputs = [x, g.ints([0, 1, 2, 3], [4]), weight, bias, g.input('dy', x.shape), null, g.input('into', [1, 4, 2])]
    const types = [x, weight, bias].map(({ shape, dtype }) => [shape, dtype] as const)
    g.output('dx', g.node('ScanConvGrad', inputs, { segment: 0 }, types)[0]!)
    await expect(evaluate(runtime, g, smallFeeds(g))).rejects.toThrow('ScanConvGrad: into must be [1, 4, 3], got [1, 4, 2]')
  })

  const official = presets.find(({ name }) => name === 'zigzag8_b1_pe2')!.recipe
  const graphOf = (batchSize: number, depth: number) => {
    const recipe: Recipe = { ...official, batchSize, model: { ...official.model, depth } }
    return trainGraph(recipe, { compute: 'bf16', scanChunk: 16 })
  }

  // Three products each of in_proj, x_proj and out_proj; two of dt_proj, whose own is part of the time steps.
  test.each([
    [1, 'one product of the whole weight forward and one for each gradient', [3072], 11],
    [32, 'two of each', [1536, 1536], 14],
  ])('a block of the official network trained with %d pictures has %s', (batchSize, _, widths, products) => {
    const [more, fewer] = [graphOf(batchSize, 24), graphOf(batchSize, 16)]
    expect(Math.floor((productsOf(more) - productsOf(fewer)) / 8)).toBe(products) // beside those of several blocks together
    const weights = [...more.inputs].filter(([name]) => name.startsWith('shadow/blocks.5.mixer.in_proj.weight')).map(([, value]) => value)
    expect(weights.map(({ shape }) => shape[0])).toEqual(widths)
    for (const weight of weights) {
      const readers = loweredNodes(more, 'native').nodes.filter(({ inputs }) => inputs.includes(weight))
      expect(readers.map(({ op }) => op)).toEqual(['Gemm', 'MatMul']) // forward, and the gradient of the tokens
    }
  })

  const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
  test.each(['speed', 'balanced', 'memory'] as const)(
    'a network trains as it does with two products, but for rounding: %s',
    async (policy) => {
      const recipe: Recipe = {
        ...tiny,
        batchSize: 2,
        model: { ...tiny.model, embedDim: 32, depth: 4, height: 16, width: 16, dropPath: 0.2 },
      }
      const [joined, apart] = [await twoSteps(recipe, policy), await twoSteps(recipe, policy, { apart: true })]
      expect(joined.results.map(({ loss }, i) => loss / apart.results[i]!.loss)).toEqual(
        [1, 1].map((one): unknown => expect.closeTo(one, 5)),
      )
      expect(joined.results.map(({ gradNorm }, i) => gradNorm / apart.results[i]!.gradNorm)).toEqual(
        [1, 1].map((one): unknown => expect.closeTo(one, 5)),
      )
      const half = 'blocks.0.mixer.in_proj.weight'
      expect(relativeError(joined.weights[half]!, apart.weights[half]!)).toBeLessThan(1e-4)
    },
  )
})
