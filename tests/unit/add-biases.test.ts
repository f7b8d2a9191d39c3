import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { DType } from '#engine/graph/value.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'

/** What a product of some rows and a bias is lowered to: each operation with the number of its inputs. */
function lowered(rows: number, bias: readonly number[], compute: DType = 'bf16'): [op: string, inputs: number][] {
  const g = new GraphBuilder('f32', { compute })
  const product = g.gemm(g.input('x', [rows, 4], compute), g.input('w', [8, 4], compute), {
    transB: true,
    bias: g.input('b', bias, compute),
  })
  g.output('y', product)
  return loweredNodes(g, 'native').nodes.map(({ op, inputs }) => [op, inputs.length])
}

const apart = [
  ['Gemm', 2],
  ['Add', 2],
]
const together = [['Gemm', 3]]

describe('the bias of a product', () => {
  test('of few rows is added behind it where types are mixed, one number a column or one a row', () => {
    expect(lowered(1, [8])).toEqual(apart)
    expect(lowered(64, [8])).toEqual(apart)
    expect(lowered(3, [3, 1])).toEqual(apart)
  })

  test('stays in it where rows are many, where it is as large as the result, and on a processor', () => {
    expect(lowered(65, [8])).toEqual(together)
    expect(lowered(3, [3, 8])).toEqual(together)
    expect(lowered(1, [8], 'f32')).toEqual(together)
  })
})
