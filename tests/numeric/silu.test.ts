import { expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { lower } from '#engine/lowering/lower.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const count = 1003

function silu(float: 'f32' | 'f64'): GraphBuilder {
  const g = new GraphBuilder(float)
  g.output('y', g.silu(g.input('x', [count])))
  return g
}

test.each(['native', 'portable'] as const)('SiLU in float32 is that of double precision, in %s form', async (form) => {
  const x = Float32Array.from(numbers(count, { seed: 5, low: -20, high: 20 }))
  const { y } = await evaluate(runtime, silu('f32'), { x }, form)
  const { y: exact } = await evaluate(runtime, silu('f64'), { x: Float64Array.from(x) })
  expect(relativeError(y!, exact!)).toBeLessThan(2e-7)
  expect(Math.max(...[...y!].map((value, i) => Math.abs(Number(value) - Number(exact![i]))))).toBeLessThan(4e-6)
})

test('SiLU is one operation of ONNX Runtime, two of ONNX', () => {
  const opsOf = (...given: Parameters<typeof lower>) => lower(...given).nodes.map(({ op, domain }) => `${domain}:${op}`)
  expect(opsOf(silu('f32'))).toEqual(['com.microsoft:QuickGelu'])
  expect(opsOf(silu('f64'))).toEqual([':Sigmoid', ':Mul'])
  expect(opsOf(silu('f32'), 'portable')).toEqual([':Sigmoid', ':Mul'])
})
