import { describe, expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { kernelGroups } from '#engine/bench-kernels.ts'
import { countedNodes, workOf } from '#engine/floor.ts'
import { addNormModulate, gateAdd, selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType, Graph } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { project } from '#engine/nn/linear.ts'
import { presets } from '#engine/presets.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { checkKernels } from '#engine/self-test.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const [batch, length, dim, states] = [2, 37, 24, 16]
const width = 3 * states

/**
 * A scan whose B and C are the last columns of rows that its step size is a product of, with all gradients. `alsoRead` gives B to something else too, so
 * that it has to be cut out.
 */
function scanOfRows(float: DType = 'f32', { alsoRead = false }: { alsoRead?: boolean } = {}): GraphBuilder {
  const g = new GraphBuilder(float)
  const u = g.parameter('u', [batch, length, dim])
  const rows = project(g, u, g.parameter('x_proj', [width, dim]))
  const [, B, C] = g.split(rows, 2, [states, states, states])
  const delta = project(g, rows, g.parameter('dt_proj', [dim, width]))
  const A = g.neg(g.exp(g.parameter('A_log', [dim, states])))
  const z = g.parameter('z', [batch, length, dim])
  const permutation = g.ints(Array.from({ length }, (_, i) => (i * 5) % length), [length]) // prettier-ignore
  const y = selectiveScan(g, {
    u,
    delta,
    A,
    B: B!,
    C: C!,
    D: g.parameter('D', [dim]),
    z,
    deltaBias: g.parameter('bias', [dim]),
    permutation,
  })
  g.output('y', y)
  if (alsoRead) g.output('B', B!)
  const loss = g.sum(g.mul(y, g.input('dy', y.shape)), [0, 1, 2])
  const parameters = [...g.parameters]
  backward(
    g,
    loss,
    parameters.map(([, value]) => value),
  ).forEach((gradient, i) => g.output(`d ${parameters[i]![0]}`, gradient))
  return g
}

/** Operations by kind; a product is one, written with rows or with tokens. */
const counts = (g: Graph) =>
  Object.fromEntries(
    [...Map.groupBy(countedNodes(g), ({ node }) => (node.op === 'MatMul' ? 'Gemm' : node.op))].map(([op, { length }]) => [op, length]),
  )
const nodeOf = (g: Graph, op: string) => loweredNodes(g, 'native').nodes.find((node) => node.op === op)!

describe('a scan reads B and C where they lie', () => {
  test('and its gradient gives that of the whole rows, to which a product adds its own: no copy, no zeros, no sum', () => {
    const [inPlace, apart] = [counts(scanOfRows()), counts(scanOfRows('f32', { alsoRead: true }))]
    expect(apart).toMatchObject({ Split: 1, Concat: 1, Add: 2 })
    expect(inPlace).toEqual({ ...apart, Split: undefined, Concat: undefined, Add: 1 })
  })

  test('with the numbers of the plain graph, in result and gradients', async () => {
    const feeds = smallFeeds(scanOfRows('f32'))
    const exact = Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, Float64Array.from(data as Float32Array)]))
    const plain = await evaluate(runtime, scanOfRows('f64'), exact)
    const [inPlace, apart] = [
      await evaluate(runtime, scanOfRows(), feeds),
      await evaluate(runtime, scanOfRows('f32', { alsoRead: true }), feeds),
    ]
    expect(inPlace.y).toEqual(apart.y)
    for (const name of Object.keys(plain)) expect(relativeError(inPlace[name]!, plain[name]!), name).toBeLessThan(2e-6)
  })

  test('but not in float64, nor in portable form, nor where something else reads one of them', () => {
    const isCut = (g: Graph, form: 'native' | 'portable' = 'native') => loweredNodes(g, form).nodes.some(({ op }) => op === 'Split')
    expect([isCut(scanOfRows()), isCut(scanOfRows('f64')), isCut(scanOfRows(), 'portable')]).toEqual([false, true, true])
    expect(isCut(scanOfRows('f32', { alsoRead: true }))).toBe(true)
  })

  test('and reads no more than those columns: its floor is that of a scan of B and C alone', () => {
    const [inPlace, apart] = [scanOfRows(), scanOfRows('f32', { alsoRead: true })]
    const bytes = (g: Graph, op: string) => workOf(nodeOf(g, op), () => false).bytes
    for (const op of ['SelectiveScan', 'SelectiveScanGrad']) expect(bytes(inPlace, op), op).toBe(bytes(apart, op))
    expect(nodeOf(inPlace, 'SelectiveScan').attributes).toMatchObject({ bColumn: 16, cColumn: 32 })
  })

  test('outside whose rows it is refused', async () => {
    const g = new GraphBuilder('f32')
    const tokens = g.input('u', [1, 4, 2])
    const rows = g.input('rows', [1, 4, 5])
    const attributes = { segment: 0, chunk: 32, deltaSoftplus: 1, bColumn: 0, cColumn: 3 }
    const inputs = [tokens, tokens, g.input('A', [2, 3]), rows, rows, null, null, null, null]
    g.output('y', g.node('SelectiveScan', inputs, attributes, [[tokens.shape, 'f32']])[0]!)
    await expect(evaluate(runtime, g, smallFeeds(g))).rejects.toThrow('C must be [1, 4, 3] from column 3 on, got [1, 4, 5]')
  })

  test.for([
    ['that are still to be made', 1, {}, 'deltaWeight is for GPUs; give the product as delta.'],
    ['that are given as they are', 2, { stepsGiven: 1 }, 'stepsGiven is for GPUs; give delta as it is before bias and softplus.'],
  ] as const)('with time steps %s it is refused on a processor', async ([, width, given, sentence]) => {
    const g = new GraphBuilder('f32')
    const tokens = g.input('u', [1, 4, 2])
    const states = g.input('B', [1, 4, 3])
    const left = [null, null, null, null]
    const inputs = [tokens, g.input('delta', [1, 4, width]), g.input('A', [2, 3]), states, states, ...left]
    if (width === 1) inputs.push(g.input('weight', [2, 1]))
    const attributes = { segment: 0, chunk: 32, deltaSoftplus: 1, ...given }
    g.output('y', g.node('SelectiveScan', inputs, attributes, [[tokens.shape, 'f32']])[0]!)
    await expect(evaluate(runtime, g, smallFeeds(g))).rejects.toThrow(sentence)
  })
})

/**
 * Two norms and the gate behind each, whose modulations are one product, cut in three and then by norm; with all gradients or, as in drawing, without.
 * `alsoRead` gives one shift to something else too, so that all shifts have to be cut out.
 */
function modulated(float: DType = 'f32', { gradients = false, alsoRead = false } = {}): GraphBuilder {
  const g = new GraphBuilder(float)
  const rows = project(g, g.parameter('vector', [batch, 5]), g.parameter('adaLN', [3 * 2 * dim, 5]))
  const [shifts, scales, gates] = g.split(rows, 1, [2 * dim, 2 * dim, 2 * dim]).map((kind) => g.split(kind, 1, [dim, dim]))
  let h = g.parameter('h', [batch, length, dim])
  for (const [i, norm] of (['rms', 'layer'] as const).entries()) {
    const sum = addNormModulate(g, { h, shift: shifts![i]!, scale: scales![i]! }, { norm, epsilon: 1e-5 })
    h = gateAdd(g, sum.normalized, gates![i]!, g.exp(sum.modulated))
  }
  g.output('y', h)
  if (alsoRead) g.output('shift', shifts![1]!)
  if (gradients) backward(g, g.sum(h, [0, 1, 2]), [...g.parameters.values()]).forEach((gradient, i) => g.output(`d${i}`, gradient))
  return g
}

describe('in drawing, norms and gates read what modulates them where it lies', () => {
  test('as columns of one product, which nothing cuts; a gradient wants them apart', () => {
    const { nodes } = loweredNodes(modulated(), 'native')
    expect(nodes.map(({ op }) => op)).toEqual(['Gemm', 'AddNormModulate', 'Exp', 'AddNormModulate', 'Exp', 'GateAdd'])
    expect(nodes.map(({ attributes: { shiftColumn, scaleColumn, gateColumn } }) => [shiftColumn, scaleColumn, gateColumn])).toEqual([
      [undefined, undefined, undefined],
      [0, 2 * dim, undefined],
      [undefined, undefined, undefined],
      [dim, 3 * dim, 4 * dim], // the first norm's gate
      [undefined, undefined, undefined],
      [undefined, undefined, 5 * dim],
    ])
    expect(counts(modulated('f32', { gradients: true }))).toMatchObject({ Split: 4 })
  })

  test('with the numbers of the plain graph', async () => {
    const feeds = smallFeeds(modulated())
    const exact = Object.fromEntries(Object.entries(feeds).map(([name, data]) => [name, Float64Array.from(data as Float32Array)]))
    const [drawn, apart] = [
      await evaluate(runtime, modulated(), feeds),
      await evaluate(runtime, modulated('f32', { gradients: true }), feeds),
    ]
    expect(drawn.y).toEqual(apart.y)
    expect(relativeError(drawn.y!, (await evaluate(runtime, modulated('f64'), exact)).y!)).toBeLessThan(2e-6)
  })

  test('but not in float64, nor in portable form; and what something else reads is cut out of its own kind alone', () => {
    const cuts = (g: Graph, form: 'native' | 'portable' = 'native') => loweredNodes(g, form).nodes.filter(({ op }) => op === 'Split').length
    expect([cuts(modulated()), cuts(modulated('f64')), cuts(modulated(), 'portable')]).toEqual([0, 4, 4])
    const watched = modulated('f32', { alsoRead: true })
    expect(cuts(watched)).toBe(2)
    expect(nodeOf(watched, 'AddNormModulate').attributes).toMatchObject({ scaleColumn: 0 })
    expect(nodeOf(watched, 'AddNormModulate').attributes).not.toHaveProperty('shiftColumn')
  })

  test('and read no more than that: their floors are those of modulations by themselves', () => {
    const [drawn, apart] = [modulated(), modulated('f32', { gradients: true })]
    for (const op of ['AddNormModulate', 'GateAdd'])
      expect(
        workOf(nodeOf(drawn, op), () => false),
        op,
      ).toEqual(workOf(nodeOf(apart, op), () => false))
  })

  test('outside whose rows it is refused', async () => {
    const g = new GraphBuilder('f32')
    const tokens = g.input('n', [1, 4, 3])
    const inputs = [tokens, g.input('gates', [1, 5]), g.input('y', [1, 4, 3])]
    g.output('sum', g.node('GateAdd', inputs, { gateColumn: 3 }, [[tokens.shape, 'f32']])[0]!)
    await expect(evaluate(runtime, g, smallFeeds(g))).rejects.toThrow('gate must be [1, 3] from column 3 on, got [1, 5]')
  })

  test('so that a step of a whole network with text cuts nothing at all, and norms of all blocks are of one kind', () => {
    const { g, velocity } = smallNetwork(smallSpec({ condition: textCondition, stateDim: 2 }), 'f32')
    g.output('velocity', velocity)
    const { step } = stagesOf(g, new Set(['condition']))
    expect(counts(step)).not.toHaveProperty('Split')
    const kinds = kernelGroups([{ graph: step, runs: 1 }]).filter(
      ({ node: { op, attributes } }) => op === 'AddNormModulate' && 'shiftColumn' in attributes,
    )
    expect(kinds.map(({ count }) => count)).toEqual([1, 2, 1]) // the first, those before the text, the second
  })
})

test.each(['speed', 'balanced', 'memory'] as const)('a block in training copies and adds no columns: %s', (recompute) => {
  const official = presets.find(({ name }) => name === 'zigzag8_b1_pe2')!.recipe
  const trained = (depth: number): Recipe => ({ ...official, batchSize: 1, recompute, model: { ...official.model, depth } })
  const [more, fewer] = [24, 16].map((depth) => counts(trainGraph(trained(depth), { compute: 'bf16', scanChunk: 16 })))
  const perBlock = (op: string) => (more![op]! - fewer![op]!) / 8
  // What is left is one of each for many blocks together, see `joinBlocks`.
  for (const op of ['Split', 'Concat', 'Add']) expect(perBlock(op), op).toBeLessThan(0.5)
})

test(
  'the kernels of the processor agree with the double-precision reference, columns of wider rows included',
  { timeout: 60_000 },
  async () => {
    const seed = Math.floor(numbers(1, { seed: Date.now() % 2 ** 20, low: 0, high: 2 ** 31 })[0]!)
    const checks = await checkKernels(runtime, runtime, { dtypes: ['f32'], seed })
    expect({ seed, wrong: checks.filter(({ passes }) => !passes) }).toEqual({ seed, wrong: [] })
    expect(checks.filter(({ operation }) => operation.includes('columns')).length).toBeGreaterThanOrEqual(10)
  },
)
