import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Form } from '#engine/lowering/lower.ts'
import { lower } from '#engine/lowering/lower.ts'
import { stagesOf } from '#engine/lowering/stages.ts'
import { linear } from '#engine/nn/linear.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

async function inTwo(g: GraphBuilder, rare: readonly string[], form: Form = 'native') {
  const { prepare, step } = stagesOf(g, new Set(rare))
  const feeds = smallFeeds(g)
  const prepared = await evaluate(runtime, prepare!, feeds, form)
  return evaluate(runtime, step, { ...feeds, ...(prepared as Record<string, Float32Array>) }, form)
}

const { g, velocity } = smallNetwork(smallSpec({ condition: textCondition }), 'f32')
g.output('velocity', velocity)
const { prepare, step } = stagesOf(g, new Set(['condition']))

describe('a network in two stages', () => {
  test.each(['native', 'portable'] as const)('gives in %s form what it gives in one', async (form) => {
    const { velocity: whole } = await evaluate(runtime, g, smallFeeds(g))
    expect(relativeError((await inTwo(g, ['condition'], form)).velocity!, whole!)).toBeLessThan(form === 'native' ? 1e-7 : 2e-6)
  })

  test('reads neither picture nor time in the first', () => {
    expect(lower(prepare!).inputs.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['image']))
    expect(lower(prepare!).inputs.map(({ name }) => name)).not.toEqual(expect.arrayContaining(['t']))
  })

  test('reads no text in the second, and makes no keys, values or decays of a scan there', () => {
    const { inputs, nodes } = lower(step)
    const names = inputs.map(({ name }) => name)
    expect(names).not.toContain('condition')
    expect(names.filter((name) => /to_k|to_v|A_log|y_embedder/.test(name))).toEqual([])
    expect(nodes.filter(({ op }) => op === 'Exp')).toEqual([])
  })
})

test.each([2, 33, 65])('%i products of one input give each its own result, whole or cut in three', async (count) => {
  const many = new GraphBuilder()
  const x = many.input('x', [3, 7])
  for (let i = 0; i < count; i++) {
    many.output(`whole.${i}`, linear(many, x, `whole.${i}`, 4))
    many.split(linear(many, x, `cut.${i}`, 6), 1, [2, 2, 2]).forEach((piece, part) => many.output(`cut.${i}.${part}`, piece))
    many.output(`plain.${i}`, many.gemm(x, many.parameter(`plain.weight.${i}`, [7, 5])))
  }
  const alone = await evaluate(runtime, many, smallFeeds(many))
  const together = await inTwo(many, [])
  expect(Object.keys(together).sort()).toEqual(Object.keys(alone).sort())
  for (const [name, expected] of Object.entries(alone)) expect(relativeError(together[name]!, expected), name).toBeLessThan(1e-6)
})

test('a graph without weights has one stage', () => {
  const plain = new GraphBuilder()
  plain.output('y', plain.exp(plain.input('x', [3])))
  expect(stagesOf(plain, new Set())).toEqual({ prepare: null, step: plain, evaluations: 1 })
})
