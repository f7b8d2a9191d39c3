import { describe, expect, test } from 'vitest'
import { backward } from '#engine/autodiff/backward.ts'
import { addNormModulate, attention, gateAdd, scanConv } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import type { Value } from '#engine/graph/value.ts'

type Mistake = [sentence: RegExp, build: (g: GraphBuilder, x: (...shape: number[]) => Value) => unknown]

const mistakes: Record<string, Mistake> = {
  'shapes that do not broadcast': [/Add: shapes \[2, 3\] and \[4\] differ at axis 1/, (g, x) => g.add(x(2, 3), x(4))],
  'inner sizes that differ': [
    /gemm: inner sizes 3 and 4 differ \(\[2, 3\] x \[5, 4\]ᵀ\)/,
    (g, x) => g.gemm(x(2, 3), x(5, 4), { transB: true }),
  ],
  'a reshape that loses elements': [/reshape: \[2, 3\] holds 6 elements and \[4\] 4/, (g, x) => g.reshape(x(2, 3), [4])],
  'a slice past the end': [/slice: 1\.\.9 lies outside axis 0 of 4 elements/, (g, x) => g.slice(x(4), 0, 1, 9)],
  'sizes that do not sum up': [/split: sizes \[1, 1\] sum to 2, axis 0 has 4/, (g, x) => g.split(x(4), 0, [1, 1])],
  'an axis that is not there': [/ReduceSum: axis 2 is outside a tensor of 2 axes/, (g, x) => g.sum(x(2, 3), [2])],
  'an empty tensor': [/shape \[0\] must hold whole numbers of at least 1/, (_, x) => x(0)],
  'a convolution with the bias of another width': [
    /scanConv: bias must be \[4\], got \[5\]/,
    (g, x) => scanConv(g, x(1, 2, 4), g.ints([0, 1], [2]), x(4, 4), x(5)),
  ],
  'heads that do not divide the width': [
    /attention: width 6 does not divide into 4 heads/,
    (g, x) => attention(g, x(1, 2, 6), x(1, 2, 6), x(1, 2, 6), { heads: 4, scale: 1 }),
  ],
  'a norm of something that is not tokens': [
    /addNormModulate: needs tokens \[B, L, D\], got \[2, 3\]/,
    (g, x) => addNormModulate(g, { h: x(2, 3) }, { norm: 'rms', epsilon: 1e-5 }),
  ],
  'a gate without a branch': [
    /addNormModulate: gate and y come together/,
    (g, x) => addNormModulate(g, { h: x(2, 3, 4), gate: x(2, 4) }, { norm: 'rms', epsilon: 1e-5 }),
  ],
  'the bias of a branch that is not there': [
    /addNormModulate: yBias is added to y/,
    (g, x) => addNormModulate(g, { h: x(2, 3, 4), yBias: x(4) }, { norm: 'rms', epsilon: 1e-5 }),
  ],
  'the bias of a branch of another width': [
    /gateAdd: yBias must be \[4\], got \[5\]/,
    (g, x) => gateAdd(g, x(2, 3, 4), x(2, 4), x(2, 3, 4), x(5)),
  ],
  'a gate for every token': [
    /addNormModulate: gate must be \[2, 4\], got \[2, 3, 4\]/,
    (g, x) => addNormModulate(g, { h: x(2, 3, 4), gate: x(2, 3, 4), y: x(2, 3, 4) }, { norm: 'rms', epsilon: 1e-5 }),
  ],
  'a loss that is not one number': [
    /the loss has shape \[3\]/,
    (g, x) => {
      const a = x(3)
      return backward(g, a, [a])
    },
  ],
  'a loss that does not depend on a parameter': [
    /does not depend on a value of shape \[5\]/,
    (g, x) => {
      const a = x(3)
      return backward(g, g.sum(a, [0]), [a, x(5)])
    },
  ],
  'an output with the name of an input': [
    /output: "x0" is named twice/,
    (g, x) => {
      g.output('x0', g.exp(x(1)))
    },
  ],
  'a name used twice': [/"w" is named twice/, (g) => [g.parameter('w', [1]), g.input('w', [1])]],
}

describe('a graph refuses, in one sentence,', () => {
  test.each(Object.entries(mistakes))('%s', (_, [sentence, build]) => {
    const g = new GraphBuilder()
    let count = 0
    expect(() => build(g, (...shape) => g.input(`x${count++}`, shape))).toThrow(sentence)
  })
})

test('the gradient of a value used twice is the sum of both uses, once each', () => {
  const g = new GraphBuilder()
  const x = g.parameter('x', [2])
  const [dx] = backward(g, g.sum(g.add(x, x), [0]), [x])
  expect(dx!.node?.op).toBe('Add')
})
