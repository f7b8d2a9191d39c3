import { describe, expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import { countedNodes } from '#engine/floor.ts'
import { addNormModulate, gateAdd } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Value } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const tokens = [2, 3, 8] as const
const norm = { norm: 'rms', epsilon: 1e-5 } as const
const opsOf = (g: GraphBuilder) => loweredNodes(g, 'native').nodes.map(({ op }) => op)

/** A gated sum of parameters, and the norm behind it. */
function gatedNorm(g: GraphBuilder, { summed = true, biased = false } = {}): { h: Value; sum: ReturnType<typeof addNormModulate> } {
  const yBias = biased ? g.parameter('yBias', [8]) : null
  const h = gateAdd(g, g.parameter('n', tokens), g.parameter('gate', [2, 8]), g.parameter('y', tokens), yBias)
  return { h, sum: addNormModulate(g, { h, residual: summed ? g.parameter('residual', tokens) : null }, norm) }
}

const squares = (g: GraphBuilder, ...values: Value[]) =>
  values.map((value) => g.sum(g.square(value), [0, 1, 2])).reduce((sum, term) => g.add(sum, term))

describe('a gate in front of a norm', () => {
  test('is part of it, and the sum between them is not written', () => {
    const g = new GraphBuilder()
    const { sum } = gatedNorm(g)
    g.output('modulated', sum.modulated)
    g.output('sum', sum.residual)
    const [only, ...others] = countedNodes(g)
    expect([only!.node.op, others]).toEqual(['AddNormModulate', []])
    // read: h, residual, y of 48 numbers and a gate of 16; written: two of 48. Apart, it would be one reading and one writing of 48 more.
    expect(only!.work.bytes).toBe(4 * (3 * 48 + 16 + 2 * 48))
  })

  test('is part of it where something reads the sum later: then the norm writes it', () => {
    const g = new GraphBuilder()
    const { h, sum } = gatedNorm(g)
    g.output('both', g.add(h, sum.modulated))
    const [first] = countedNodes(g)
    expect(opsOf(g)).toEqual(['AddNormModulate', 'Add'])
    expect(first!.isWritten(5)).toBe(true)
  })

  test('stays where it is when something reads the sum before the norm, or no norm does', () => {
    const before = new GraphBuilder()
    const h = gateAdd(before, before.input('n', tokens), before.input('gate', [2, 8]), before.input('y', tokens))
    const negative = before.neg(h)
    before.output('both', before.add(negative, addNormModulate(before, { h }, norm).modulated))
    expect(opsOf(before)).toEqual(['GateAdd', 'Neg', 'AddNormModulate', 'Add'])

    const alone = new GraphBuilder()
    const sum = gateAdd(alone, alone.input('n', tokens), alone.input('gate', [2, 8]), alone.input('y', tokens))
    addNormModulate(alone, { h: sum }, norm) // which nothing needs
    alone.output('h', sum)
    expect(opsOf(alone)).toEqual(['GateAdd'])
  })

  test('has its gradient in one operation with the norm, a second gradient of the sum included', () => {
    for (const also of [false, true]) {
      const g = new GraphBuilder()
      const { h, sum } = gatedNorm(g, { summed: !also })
      const loss = also ? squares(g, sum.modulated, g.exp(h)) : squares(g, sum.modulated)
      backward(g, loss, [...g.parameters.values()]).forEach((gradient, i) => g.output(`d${i}`, gradient))
      expect(opsOf(g).filter((op) => /Gate/.test(op))).toEqual([])
      const gradient = loweredNodes(g, 'native').nodes.find(({ op }) => op === 'AddNormModulateGrad')!
      expect(gradient.inputs[14] !== null).toBe(also)
    }
  })

  test('takes the bias of what it multiplies along, and the norm gives its gradient', () => {
    const g = new GraphBuilder()
    const { sum } = gatedNorm(g, { biased: true })
    const parameters = [...g.parameters.values()]
    const gradients = backward(g, squares(g, sum.modulated), parameters)
    gradients.forEach((gradient, i) => g.output(`d${i}`, gradient))
    const node = (op: string) => loweredNodes(g, 'native').nodes.find((node) => node.op === op)!
    const yBias = g.parameters.get('yBias')!
    expect(opsOf(g).filter((op) => /Gate/.test(op))).toEqual([])
    expect(node('AddNormModulate').inputs[9]).toBe(yBias)
    expect(node('AddNormModulateGrad').inputs[15]).toBe(yBias)
    expect(node('AddNormModulateGrad').outputs[8]).toBe(gradients[parameters.indexOf(yBias)])
  })
})

test('what a gate multiplies is a product without a bias: a GPU would write that to the whole product first', () => {
  const { g } = smallNetwork(smallSpec({ condition: textCondition }), 'f32')
  const products = g.nodes.flatMap(({ op, inputs }) => (op === 'GateAdd' ? [inputs[2]!.node!.inputs[0]!.node!] : []))
  expect(products.length).toBeGreaterThan(0)
  for (const { op, inputs } of products) expect([op, inputs.length]).toEqual(['Gemm', 2])
})

test.each([
  ['no condition', {}],
  ['text', { condition: textCondition, norm: 'layer' }],
] as const)('a network with %s has no gate beside a norm, forward or backward', (_, changes) => {
  const { g, velocity } = smallNetwork(smallSpec(changes), 'f32')
  backward(g, g.sum(g.square(velocity), [0, 1, 2, 3]), [...g.parameters.values()]).forEach((gradient, i) => g.output(`d${i}`, gradient))
  expect(g.nodes.filter(({ op }) => op.startsWith('GateAdd')).length).toBeGreaterThan(0)
  expect(opsOf(g).filter((op) => op.startsWith('GateAdd'))).toEqual([])
})
