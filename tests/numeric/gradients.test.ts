import { describe, expect, test } from 'vitest'
import { gradientRules } from '#engine/autodiff/rules.ts'
import { addNormModulate, attention, gateAdd, scanConv, selectiveScan } from '#engine/graph/fused.ts'
import { gradientError, type Operand, type Operation } from '../support/differences.ts'

const tolerance = 1e-7
const positive = { low: 0.3, high: 2 }

/** op -> operands and how to build it. Every rule of the table must be here. */
const cases: Record<string, readonly [Record<string, Operand>, Operation][]> = {
  Add: [[{ a: { shape: [2, 3] }, b: { shape: [3] } }, (g, { a, b }) => g.add(a!, b!)]],
  Sub: [[{ a: { shape: [2, 1] }, b: { shape: [2, 3] } }, (g, { a, b }) => g.sub(a!, b!)]],
  Mul: [
    [{ a: { shape: [2, 3, 1] }, b: { shape: [3, 4] } }, (g, { a, b }) => g.mul(a!, b!)],
    [{ a: { shape: [5] } }, (g, { a }) => g.mul(a!, a!)],
  ],
  Div: [[{ a: { shape: [2, 3] }, b: { shape: [3], ...positive } }, (g, { a, b }) => g.div(a!, b!)]],
  Neg: [[{ x: { shape: [4] } }, (g, { x }) => g.neg(x!)]],
  Exp: [[{ x: { shape: [4] } }, (g, { x }) => g.exp(x!)]],
  Log: [[{ x: { shape: [4], ...positive } }, (g, { x }) => g.log(x!)]],
  Sqrt: [[{ x: { shape: [4], ...positive } }, (g, { x }) => g.sqrt(x!)]],
  Reciprocal: [[{ x: { shape: [4], ...positive } }, (g, { x }) => g.reciprocal(x!)]],
  Sin: [[{ x: { shape: [4] } }, (g, { x }) => g.sin(x!)]],
  Cos: [[{ x: { shape: [4] } }, (g, { x }) => g.cos(x!)]],
  Tanh: [[{ x: { shape: [4] } }, (g, { x }) => g.tanh(x!)]],
  Sigmoid: [[{ x: { shape: [4] } }, (g, { x }) => g.sigmoid(x!)]],
  Silu: [[{ x: { shape: [4], low: -4, high: 4 } }, (g, { x }) => g.silu(x!)]],
  Softplus: [[{ x: { shape: [4], low: -4, high: 4 } }, (g, { x }) => g.softplus(x!)]],
  Where: [[{ a: { shape: [2, 3] }, b: { shape: [3] } }, (g, { a, b }) => g.where(g.less(a!, g.scalar(0.1)), a!, b!)]],
  ReduceSum: [[{ x: { shape: [2, 3, 4] } }, (g, { x }) => g.square(g.sum(x!, [0, 2]))]],
  ReduceMean: [[{ x: { shape: [2, 3, 4] } }, (g, { x }) => g.square(g.mean(x!, [1], true))]],
  Softmax: [[{ x: { shape: [2, 3, 4] } }, (g, { x }) => g.softmax(x!, 1)]],
  Reshape: [[{ x: { shape: [2, 3] } }, (g, { x }) => g.square(g.reshape(x!, [3, 2]))]],
  Transpose: [[{ x: { shape: [2, 3, 4] } }, (g, { x }) => g.square(g.transpose(x!, [2, 0, 1]))]],
  Expand: [[{ x: { shape: [3, 1] } }, (g, { x }) => g.square(g.expand(x!, [2, 3, 4]))]],
  Slice: [[{ x: { shape: [3, 5] } }, (g, { x }) => g.square(g.slice(x!, 1, 1, 4))]],
  Concat: [[{ a: { shape: [2, 3] }, b: { shape: [2, 1] } }, (g, { a, b }) => g.square(g.concat([a!, b!], 1))]],
  Split: [
    [{ x: { shape: [2, 6] } }, (g, { x }) => g.split(x!, 1, [1, 2, 3]).map((part) => g.square(part))],
    [{ x: { shape: [2, 6] } }, (g, { x }) => g.square(g.split(x!, 1, [1, 2, 3])[1]!)],
  ],
  Gather: [[{ table: { shape: [4, 3] } }, (g, { table }) => g.square(g.gather(table!, g.ints([2, 0, 2, 3, 2, 1], [2, 3])))]],
  Gemm: [
    ...[0, 1, 2, 3].map((mask): [Record<string, Operand>, Operation] => {
      const [transA, transB] = [mask % 2 === 1, mask >= 2]
      return [
        { a: { shape: transA ? [4, 3] : [3, 4] }, b: { shape: transB ? [5, 4] : [4, 5] }, bias: { shape: [5] } },
        (g, { a, b, bias }) => g.gemm(a!, b!, { transA, transB, bias: bias! }),
      ]
    }),
    [{ a: { shape: [3, 4] }, b: { shape: [4, 5] }, c: { shape: [3, 5] } }, (g, { a, b, c }) => g.gemm(a!, b!, { bias: c! })],
  ],
  MatMul: [
    [{ a: { shape: [2, 3, 4] }, b: { shape: [2, 4, 5] } }, (g, { a, b }) => g.matmul(a!, b!)],
    [{ a: { shape: [2, 3, 4] }, b: { shape: [4, 5] } }, (g, { a, b }) => g.matmul(a!, b!)],
  ],
  ScanConv: [0, 3].map((segment): [Record<string, Operand>, Operation] => [
    { x: { shape: [2, 6, 3] }, weight: { shape: [3, 4] }, bias: { shape: [3] } },
    (g, { x, weight, bias }) => scanConv(g, x!, g.ints([3, 0, 5, 1, 4, 2], [6]), weight!, bias!, { segment }),
  ]),
  SelectiveScan: [
    ...[0, 20].map((segment): [Record<string, Operand>, Operation] => [
      {
        u: { shape: [2, 40, 3] },
        delta: { shape: [2, 40, 3] },
        A: { shape: [3, 2], low: -2, high: -0.2 },
        B: { shape: [2, 40, 2] },
        C: { shape: [2, 40, 2] },
        D: { shape: [3] },
        z: { shape: [2, 40, 3] },
        deltaBias: { shape: [3] },
      },
      (g, x) => {
        const permutation = g.ints(
          Array.from({ length: 40 }, (_, i) => (i * 7) % 40),
          [40],
        )
        return selectiveScan(
          g,
          { u: x.u!, delta: x.delta!, A: x.A!, B: x.B!, C: x.C!, D: x.D!, z: x.z!, deltaBias: x.deltaBias!, permutation },
          { segment },
        )
      },
    ]),
    [
      {
        u: { shape: [1, 5, 2] },
        delta: { shape: [1, 5, 2], ...positive },
        A: { shape: [2, 3], low: -2, high: -0.2 },
        B: { shape: [1, 5, 3] },
        C: { shape: [1, 5, 3] },
      },
      (g, x) =>
        selectiveScan(
          g,
          { u: x.u!, delta: x.delta!, A: x.A!, B: x.B!, C: x.C!, D: null, z: null, deltaBias: null, permutation: null },
          { deltaSoftplus: false },
        ),
    ],
  ],
  AddNormModulate: [
    ...(['rms', 'layer'] as const).flatMap((norm): [Record<string, Operand>, Operation][] => [
      [
        {
          h: { shape: [2, 3, 5] },
          residual: { shape: [2, 3, 5] },
          weight: { shape: [5] },
          bias: { shape: [5] },
          shift: { shape: [2, 5] },
          scale: { shape: [2, 5] },
        },
        (g, x) => {
          const keep = g.floats([2, 0.5], [2])
          const y = addNormModulate(
            g,
            { h: x.h!, residual: x.residual!, weight: x.weight!, bias: x.bias!, shift: x.shift!, scale: x.scale!, keep },
            { norm, epsilon: 1e-5 },
          )
          return [y.modulated, y.normalized, y.residual]
        },
      ],
      [
        { h: { shape: [2, 3, 5] }, residual: { shape: [2, 3, 5] }, weight: { shape: [5] } },
        (g, x) => {
          const y = addNormModulate(g, { h: x.h!, residual: x.residual!, weight: x.weight! }, { norm, epsilon: 1e-5 })
          return [y.normalized, g.square(y.residual)]
        },
      ],
      [{ h: { shape: [1, 2, 7] } }, (g, x) => addNormModulate(g, { h: x.h! }, { norm, epsilon: 1e-6 }).modulated],
      [
        { h: { shape: [2, 3, 5] }, residual: { shape: [2, 3, 5] }, gate: { shape: [2, 5] }, y: { shape: [2, 3, 5] } },
        (g, x) => {
          const keep = g.floats([2, 0.5], [2])
          const { modulated, residual, gated } = addNormModulate(
            g,
            { h: x.h!, residual: x.residual!, gate: x.gate!, y: x.y!, keep },
            { norm, epsilon: 1e-5 },
          )
          return [modulated, residual, g.square(gated)]
        },
      ],
      [
        { h: { shape: [2, 3, 5] }, residual: { shape: [2, 3, 5] }, gate: { shape: [2, 5] }, y: { shape: [2, 3, 5] } },
        (g, x) => addNormModulate(g, { h: x.h!, residual: x.residual!, gate: x.gate!, y: x.y! }, { norm, epsilon: 1e-5 }).modulated,
      ],
      [
        { h: { shape: [2, 3, 5] }, residual: { shape: [2, 3, 5] }, gate: { shape: [2, 5] }, y: { shape: [2, 3, 5] } },
        (g, x) => {
          const y = addNormModulate(g, { h: x.h!, residual: x.residual!, gate: x.gate!, y: x.y! }, { norm, epsilon: 1e-5 })
          return [y.normalized, y.gated]
        },
      ],
      [
        {
          h: { shape: [2, 3, 5] },
          residual: { shape: [2, 3, 5] },
          gate: { shape: [2, 5] },
          y: { shape: [2, 3, 5] },
          yBias: { shape: [5] },
        },
        (g, x) => {
          const keep = g.floats([2, 0.5], [2])
          const inputs = { h: x.h!, residual: x.residual!, gate: x.gate!, y: x.y!, yBias: x.yBias!, keep }
          const { modulated, gated } = addNormModulate(g, inputs, { norm, epsilon: 1e-5 })
          return [modulated, g.square(gated)]
        },
      ],
    ]),
  ],
  GateAdd: [
    [{ n: { shape: [2, 3, 4] }, gate: { shape: [2, 4] }, y: { shape: [2, 3, 4] } }, (g, { n, gate, y }) => gateAdd(g, n!, gate!, y!)],
    [
      { n: { shape: [2, 3, 4] }, gate: { shape: [2, 4] }, y: { shape: [2, 3, 4] }, yBias: { shape: [4] } },
      (g, { n, gate, y, yBias }) => gateAdd(g, n!, gate!, y!, yBias),
    ],
  ],
  Attention: [
    [
      { q: { shape: [2, 3, 6] }, k: { shape: [2, 5, 6] }, v: { shape: [2, 5, 6] } },
      (g, { q, k, v }) => attention(g, q!, k!, v!, { heads: 2, scale: 0.6 }),
    ],
  ],
}

describe('the gradient by autodiff equals central differences in float64', () => {
  for (const [op, variants] of Object.entries(cases)) {
    variants.forEach(([operands, operation], i) => {
      test(`of ${op}${variants.length > 1 ? `, variant ${i + 1}` : ''}`, async () => {
        expect(await gradientError(operands, operation)).toBeLessThan(tolerance)
      })
    })
  }

  test('for every rule of the table but Cast, whose gradient is a Cast', () => {
    expect(Object.keys(cases).sort()).toEqual(
      Object.keys(gradientRules)
        .filter((op) => op !== 'Cast')
        .sort(),
    )
  })
})
