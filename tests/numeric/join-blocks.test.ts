import { describe, expect, test } from 'vitest'
import type { ModelSpec } from '#contracts/recipe.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { meanSquare } from '#engine/interpolant/loss.ts'
import { lower } from '#engine/lowering/lower.ts'
import { presets } from '#engine/presets.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { joinBlocks } from '#engine/training/join-blocks.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe

describe.each<[string, Partial<ModelSpec>, { gemms: number; decays: number }]>([
  ['of twelve blocks', { depth: 12 }, { gemms: 2, decays: 1 }],
  ['with text', { depth: 6, condition: textCondition }, { gemms: 2, decays: 1 }],
  ['both ways through the tokens', { depth: 2, scan: { kind: 'bidirectional', count: 1 } }, { gemms: 1, decays: 1 }],
  ['whose weights end between two places in memory', { depth: 3, embedDim: 10 }, { gemms: 3, decays: 1 }],
  ['that leaves the step size before B and C', { depth: 3, embedDim: 32, stateDim: 2 }, { gemms: 1 + 1 - 3, decays: 1 }],
  ['of one block', { depth: 1 }, { gemms: 1, decays: 1 }],
])('a network %s', (_, changes, { gemms, decays }) => {
  const build = (joined: boolean) => {
    const { g, velocity } = smallNetwork(smallSpec({ embedDim: 16, ...changes }), 'f32')
    g.output('velocity', velocity)
    if (joined) joinBlocks(g)
    const loss = meanSquare(g, velocity, g.input('target', velocity.shape))
    const parameters = [...g.parameters]
    backward(
      g,
      loss,
      parameters.map(([, value]) => value),
    ).forEach((gradient, i) => g.output(`d ${parameters[i]![0]}`, gradient))
    return g
  }

  test('computes the same and has the same gradients when its blocks are joined', async () => {
    const [apart, joined] = await Promise.all([build(false), build(true)].map((g) => evaluate(runtime, g, smallFeeds(g))))
    expect(Object.keys(joined!)).toEqual(Object.keys(apart!))
    for (const [name, expected] of Object.entries(apart!)) expect(relativeError(joined![name]!, expected), name).toBeLessThan(2e-6)
  })

  test('computes the modulations and decays of many blocks in one operation', () => {
    const { g } = smallNetwork(smallSpec({ embedDim: 16, ...changes }), 'f32')
    const { nodes } = g
    const before = nodes.filter(({ op }) => op === 'Gemm').length
    joinBlocks(g)
    const depth = changes.depth!
    expect(nodes.filter(({ op }) => op === 'Gemm').length).toBe(before - depth + gemms)
    expect(nodes.filter(({ op }) => op === 'Exp')).toHaveLength(decays)
    const computed = new Set([...g.inputs.values(), ...g.parameters.values(), ...g.constants.keys()])
    for (const { inputs, outputs } of nodes) {
      for (const input of inputs) expect(!input || computed.has(input)).toBe(true)
      for (const output of outputs) computed.add(output)
    }
    g.borders.forEach(({ at, values }) => {
      const early = new Set(nodes.slice(0, at).flatMap(({ outputs }) => outputs))
      expect(values.every((value) => early.has(value))).toBe(true)
    })
  })
})

test('no more pieces are cut than one kernel can', () => {
  const { g } = smallNetwork(smallSpec({ embedDim: 16, depth: 32 }), 'f32')
  joinBlocks(g)
  const cuts = g.nodes.filter(({ op, inputs }) => op === 'Split' && /^(Gemm|Neg)$/.test(inputs[0]!.node?.op ?? ''))
  expect(cuts.map(({ outputs }) => outputs.length).sort()).toEqual([24, 24, 24, 24, 32])
})

test.each([
  ['of the whole batch', null, {}],
  ['of a piece', 8, {}],
  ['with weights in 16 bits', null, { compute: 'bf16', scanChunk: 16 }],
] as const)('a step %s lays no weights together and cuts none', (_, microBatch, precision) => {
  const { nodes, inputs, initializers } = lower(trainGraph({ ...tiny, microBatch }, precision))
  const given = new Set([...inputs, ...initializers].map(({ name }) => name))
  expect(
    nodes.filter(({ op, inputs: read }) => /Split|Concat/.test(op) && read.every((name) => given.has(name))).map(({ op }) => op),
  ).toEqual([])
})

test('weights that are trained as one keep their names, shapes and order, and are one memory', async () => {
  const graph = trainGraph({ ...tiny, batchSize: 2, model: { ...tiny.model, depth: 3 } }, {})
  using program = await TrainProgram.compile(runtime, graph)
  expect([...program.weights.tensors].map(([name, { shape }]) => [name, shape])).toEqual(
    [...graph.parameters].map(([name, { shape }]) => [name, shape]),
  )
  const names = [0, 1, 2].map((block) => `blocks.${block}.mixer.A_log`)
  names.forEach((name, i) => program.weights.write(name, new Float32Array(graph.parameters.get(name)!.shape[0]! * 16).fill(i + 1)))
  const [rows] = graph.parameters.get(names[0]!)!.shape as [number]
  const all = program.weights.view(names[0]!, 0, [3 * rows, 16])
  const values = new Float32Array(all.read().buffer)
  expect([0, rows * 16 - 1, rows * 16, 2 * rows * 16, 3 * rows * 16 - 1].map((i) => values[i])).toEqual([1, 1, 2, 3, 3])
})
