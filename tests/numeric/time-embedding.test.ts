import { expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { loweredNodes } from '#engine/lowering/lower.ts'
import { timestepEmbedding } from '#engine/nn/embeddings.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { numbers, runtime } from '#tests/support/differences.ts'

const [times, size] = [1000, 256]

function embedding(float: 'f32' | 'f64' = 'f32'): GraphBuilder {
  const g = new GraphBuilder(float)
  g.output('y', timestepEmbedding(g, g.input('t', [times]), size))
  return g
}

/** Cosines, then sines, of 1000 t exp(-ln 10000 k / 128), as spec 1.3 has them. */
const exact = (t: number) => {
  const angles = Array.from({ length: size / 2 }, (_, k) => 1000 * t * Math.exp((-Math.log(10000) * k) / (size / 2)))
  return [...angles.map(Math.cos), ...angles.map(Math.sin)]
}

test.each([
  // An angle up to 1000 is a float32 of 3e-5 at best; it is rounded twice, and so is its frequency.
  ['f32', 1e-4, 1e-5],
  ['f64', 1e-12, 1e-13],
] as const)('the sinusoids of time are those of the formula, in %s', async (float, largest, usual) => {
  const t = Float32Array.from([0, 1, ...numbers(times - 2, { seed: 3, low: 0, high: 1 })])
  const { y } = await evaluate(runtime, embedding(float), { t: float === 'f64' ? Float64Array.from(t) : t })
  const errors = [...t].flatMap((time, row) => exact(time).map((wanted, k) => Math.abs(Number(y![row * size + k]) - wanted)))
  expect(errors.reduce((most, error) => Math.max(most, error), 0)).toBeLessThan(largest)
  expect(Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length)).toBeLessThan(usual)
})

test('they take a product, a sum and a sine: no cosine, and nothing is joined', () => {
  const computed = loweredNodes(embedding(), 'native').nodes.filter(({ op }) => op !== 'Reshape')
  expect(computed.map(({ op }) => op)).toEqual(['Mul', 'Add', 'Sin'])
})
