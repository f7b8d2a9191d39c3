import { expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { lower } from '#engine/lowering/lower.ts'
import { shadowName, shadowsOf } from '#engine/optim/trained.ts'
import { encode } from '#engine/runtime/elements.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { presets } from '#engine/presets.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe

test.each(['bf16', 'f16'] as const)('AdamW writes beside a weight the same weight in %s, rounded to nearest', async (compute) => {
  const g = new GraphBuilder('f32')
  const inputs = ['w', 'dw', 'm', 'v', 'ema'].map((name) => g.input(name, [3, 7]))
  const outputs = g.node(
    'AdamW',
    [g.input('hyper', [8]), g.input('norm', [1]), g.input('gradScale', [1]), ...inputs],
    { count: 1, decay: [1], shadowed: [1] },
    [...inputs.map(() => [[3, 7], 'f32'] as const).slice(1), [[3, 7], compute]],
  )
  ;['weight', 'newM', 'newV', 'newEma', 'shadow'].forEach((name, i) => g.output(name, outputs[i]!))
  const feeds = Object.fromEntries(
    inputs.map((_, i) => [['w', 'dw', 'm', 'v', 'ema'][i]!, Float32Array.from(numbers(21, { seed: i, low: 0 }))]),
  )
  const hyper = Float32Array.of(0.01, 0.9, 0.99, 1e-8, 0.1, 0.9, 0, 1)
  const { weight, shadow } = await evaluate(runtime, g, { ...feeds, hyper, norm: Float32Array.of(1), gradScale: Float32Array.of(1) })
  const rounded = new Uint16Array((encode(weight!, compute) as Uint16Array).buffer)
  expect(new Uint16Array((encode(shadow!, compute) as Uint16Array).buffer)).toEqual(rounded)
  expect([...shadow!]).not.toEqual([...weight!])
})

test.each(['speed', 'balanced', 'memory'] as const)('a training step casts no weight that it may be handed cast: %s', (recompute) => {
  const graph = trainGraph({ ...tiny, recompute }, { compute: 'bf16', scanChunk: 16 })
  const { nodes } = lower(graph)
  const shadows = shadowsOf(graph)
  const weights = new Set(graph.parameters.keys())
  expect(shadows.size).toBeGreaterThan(50)
  const cast = nodes.filter(({ op, inputs }) => op === 'Cast' && weights.has(inputs[0]!)).map(({ inputs }) => inputs[0]!)
  expect(cast.filter((name) => shadows.has(shadowName(name)))).toEqual([])
})

test.each([
  ['a step in float32', null, {}],
  ['a step with weights in 16 bits', null, { compute: 'bf16', scanChunk: 16 }],
  ['a piece of a batch', 36, {}],
] as const)('a weight that is read in halves is handed in so: %s cuts none and puts no gradient together', (_, microBatch, precision) => {
  const graph = trainGraph({ ...tiny, batchSize: 72, microBatch }, precision)
  expect([...graph.inputs.keys()]).toEqual(
    expect.arrayContaining(['blocks.0.mixer.in_proj.weight[0:256]', 'blocks.0.mixer.in_proj.weight[256:512]']),
  )
  const { nodes, inputs } = lower(graph)
  const given = new Set(inputs.map(({ name }) => name))
  const cut = nodes.filter(({ op, inputs: [whole] }) => op === 'Split' && given.has(whole!))
  const gradients = new Set(nodes.filter(({ op }) => /GlobalNorm|AdamW/.test(op)).flatMap(({ inputs }) => inputs))
  const putTogether = nodes.filter(({ op, outputs: [whole] }) => op === 'Concat' && gradients.has(whole!))
  expect([...cut, ...putTogether]).toEqual([])
})
