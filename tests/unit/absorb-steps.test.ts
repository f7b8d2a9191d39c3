import { describe, expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import { countedNodes } from '#engine/floor.ts'
import { selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType, Value } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { project } from '#engine/nn/linear.ts'

const [dim, states, rank] = [8, 2, 3]
const opsOf = (g: GraphBuilder) => loweredNodes(g, 'native').nodes.map(({ op }) => op)

/** A scan of `length` positions whose time steps are a product. */
function scanOfProduct(compute: DType, length = 5): { g: GraphBuilder; delta: Value; y: Value } {
  const g = new GraphBuilder('f32', { compute })
  const tokens = (name: string, width: number) => g.input(name, [2, length, width], compute)
  const delta = project(g, tokens('low', rank), g.input('weight', [dim, rank], compute))
  const y = selectiveScan(g, {
    u: tokens('u', dim),
    delta,
    A: g.parameter('A', [dim, states]),
    B: tokens('B', states),
    C: tokens('C', states),
    D: null,
    z: tokens('z', dim),
    deltaBias: null,
    permutation: null,
  })
  return { g, delta, y }
}

describe('time steps that are a product', () => {
  test('are made by the one scan that reads them, of what the product was of', () => {
    const { g, y } = scanOfProduct('bf16')
    g.output('y', y)
    const [scan, ...others] = countedNodes(g)
    expect(others).toEqual([])
    expect(scan!.node.inputs[1]).toBe(g.inputs.get('low'))
    expect(scan!.node.inputs[9]).toBe(g.inputs.get('weight'))
    // C times two states, and the product with three columns, of each of 2 x 5 x 8 numbers.
    expect(scan!.work.flops).toBe(2 * 80 * (states + rank))
  })

  test('are a product of their own in types of 32 bits, which a processor has', () => {
    const { g, y } = scanOfProduct('f32')
    g.output('y', y)
    expect(opsOf(g)).toEqual(['Reshape', 'Gemm', 'Reshape', 'SelectiveScan'])
  })

  test('are a product of their own where something else reads them too', () => {
    const { g, delta, y } = scanOfProduct('bf16')
    g.output('y', y)
    g.output('delta', delta)
    expect(opsOf(g)).toContain('Gemm')
  })

  test('are a product of their own where there are many of them', () => {
    const long = scanOfProduct('bf16', 1024 * 96)
    long.g.output('y', long.y)
    expect(opsOf(long.g)).toEqual(['SelectiveScan'])
    const longer = scanOfProduct('bf16', 1024 * 96 + 1)
    longer.g.output('y', longer.y)
    expect(opsOf(longer.g)).toContain('Gemm')
  })

  test('are a product of their own in training: the gradient reads them', () => {
    const { g, y } = scanOfProduct('bf16')
    const A = g.parameters.get('A')!
    g.output('dA', backward(g, g.sum(g.cast(y, 'f32'), [0, 1, 2]), [A])[0]!)
    expect(opsOf(g)).toContain('Gemm')
  })
})
