import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { lower } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const { g, velocity } = smallNetwork(smallSpec({ condition: textCondition }), 'f32')
g.output('velocity', velocity)
const { prepare, step } = stagesOf(g, new Set(['condition']))

describe('a network in two stages', () => {
  test('gives the bits that it gives in one', async () => {
    const feeds = smallFeeds(g)
    const prepared = await evaluate(runtime, prepare!, feeds)
    const { velocity: inTwo } = await evaluate(runtime, step, { ...feeds, ...(prepared as Record<string, Float32Array>) })
    expect(inTwo).toEqual((await evaluate(runtime, g, feeds)).velocity)
  })

  test('reads neither picture nor time in the first', () => {
    expect(lower(prepare!).inputs.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['image']))
    expect(lower(prepare!).inputs.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['t']))
  })

  test('reads no text in the second, and makes no keys, values or decays of a scan there', () => {
    const { inputs, nodes } = lower(step)
    const names = inputs.map(({ name }) => name)
    expect(names).not.toContain('condition')
    expect(names.filter((name) => /to_k|to_v|A_log|y_embedder|in_proj/.test(name))).toEqual([])
    expect(nodes.filter(({ op }) => op === 'Exp')).toEqual([])
  })
})

test('a graph without weights has one stage', () => {
  const plain = new GraphBuilder()
  plain.output('y', plain.exp(plain.input('x', [3])))
  expect(stagesOf(plain, new Set())).toEqual({ prepare: null, step: plain })
})
