import { describe, expect, test } from 'vitest'
import { gradientRules } from '#engine/autodiff/rules.ts'
import { gateAdd } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Value } from '#engine/graph/value.ts'
import { planMemory } from '#engine/lowering/memory-plan.ts'

const tokens = [2, 64, 128]
const tokenBytes = 4 * 2 * 64 * 128
const peakOf = (g: GraphBuilder) => planMemory(g, 'as-wanted').peakBytes

/** A branch that is computed, and its gradient behind a gate, of which cosines are handed out. */
function gradientOfGate(g: GraphBuilder): { branch: Value; dy: Value } {
  const branch = g.sin(g.input('x', tokens))
  const { node } = gateAdd(g, g.input('n', tokens), g.input('gate', [2, 128]), branch)
  const [, dGate, dy] = gradientRules.GateAdd!(g, node!, [g.input('dy', tokens)])
  g.output('dGate', dGate!)
  g.output('cosines', g.cos(dy!))
  return { branch, dy: dy! }
}

describe('what lies in memory at once', () => {
  test('a gradient that is written over what it is made of is not counted beside it', () => {
    const g = new GraphBuilder('f32')
    gradientOfGate(g)
    expect(peakOf(g)).toBe(tokenBytes)
  })

  test('where something reads that afterwards, both are counted', () => {
    const g = new GraphBuilder('f32')
    const { branch, dy } = gradientOfGate(g)
    g.output('later', g.cos(g.after(branch, [dy])))
    expect(peakOf(g)).toBe(2 * tokenBytes)
  })

  /** Sines, cosines of them, their product with a matrix, and of that cosines and sines again. */
  function product(options: { bias?: boolean; transB?: boolean }): GraphBuilder {
    const g = new GraphBuilder('f32')
    const rows = g.reshape(g.cos(g.sin(g.input('x', tokens))), [2 * 64, 128])
    const bias = options.bias ? { bias: g.input('bias', [128]) } : {}
    const made = g.gemm(rows, g.input('matrix', [128, 128]), { transB: options.transB ?? false, ...bias })
    g.output('y', g.cos(g.sin(g.cos(g.reshape(made, tokens)))))
    return g
  }

  test('a product of tokens takes the place of dead tokens', () => {
    expect(peakOf(product({}))).toBe(2 * tokenBytes)
  })

  test.each([{ bias: true }, { transB: true }])('a product that ONNX writes with rows alone does not: %o', (options) => {
    expect(peakOf(product(options))).toBe(3 * tokenBytes)
  })
})
