import type { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'

/**
 * The gradient of one operation: from the gradients `dy` of its outputs (null where nothing depends on an output) the gradients of its
 * inputs, in their order, null where there is none. `y` are the outputs themselves.
 */
export type GradientRule = (g: GraphBuilder, node: Node, dy: readonly (Value | null)[]) => (Value | null)[]

/** A rule for an operation of one output, whose gradient is therefore there. */
function rule(
  gradient: (g: GraphBuilder, operands: { x: readonly Value[]; y: Value; dy: Value; node: Node }) => (Value | null)[],
): GradientRule {
  return (g, node, [dy]) => {
    if (!dy) throw new TypeError(`${node.op}: no gradient arrived`)
    return gradient(g, { x: node.inputs as readonly Value[], y: node.outputs[0]!, dy, node })
  }
}

const number = (node: Node, name: string): number => node.attributes[name] as number
const numbers = (node: Node, name: string): readonly number[] => node.attributes[name] as readonly number[]

/** A fused gradient: one node gives the gradients of all inputs that are there, `null` standing for those that are not. */
function fused(
  g: GraphBuilder,
  op: string,
  inputs: (Value | null)[],
  attributes: Node['attributes'],
  like: readonly (Value | null)[],
): (Value | null)[] {
  const present = like.map((v) => v ?? null)
  const outputs = g.node(
    op,
    inputs,
    attributes,
    present.map((v) => (v ? ([v.shape, v.dtype] as const) : ([[1], g.float] as const))),
  )
  return present.map((v, i) => (v ? outputs[i]! : null))
}

/** op -> gradient rule. An operation that is not here cannot be differentiated. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  Add: rule((g, { x: [a, b], dy }) => [g.sumTo(dy, a!.shape), g.sumTo(dy, b!.shape)]),
  Sub: rule((g, { x: [a, b], dy }) => [g.sumTo(dy, a!.shape), g.neg(g.sumTo(dy, b!.shape))]),
  Mul: rule((g, { x: [a, b], dy }) => [g.sumTo(g.mul(dy, b!), a!.shape), g.sumTo(g.mul(dy, a!), b!.shape)]),
  Div: rule((g, { x: [a, b], y, dy }) => {
    const da = g.div(dy, b!)
    return [g.sumTo(da, a!.shape), g.neg(g.sumTo(g.mul(da, y), b!.shape))]
  }),
  Neg: rule((g, { dy }) => [g.neg(dy)]),
  Exp: rule((g, { y, dy }) => [g.mul(dy, y)]),
  Log: rule((g, { x: [a], dy }) => [g.div(dy, a!)]),
  Sqrt: rule((g, { y, dy }) => [g.scale(g.div(dy, y), 0.5)]),
  Reciprocal: rule((g, { y, dy }) => [g.neg(g.mul(dy, g.square(y)))]),
  Sin: rule((g, { x: [a], dy }) => [g.mul(dy, g.cos(a!))]),
  Cos: rule((g, { x: [a], dy }) => [g.neg(g.mul(dy, g.sin(a!)))]),
  Tanh: rule((g, { y, dy }) => [g.mul(dy, g.sub(g.scalar(1), g.square(y)))]),
  Sigmoid: rule((g, { y, dy }) => [g.mul(dy, g.mul(y, g.sub(g.scalar(1), y)))]),
  /** d silu = s (1 + x (1 - s)) with s = sigmoid(x) */
  Silu: rule((g, { x: [a], dy }) => {
    const s = g.sigmoid(a!)
    return [g.mul(dy, g.mul(s, g.add(g.scalar(1), g.mul(a!, g.sub(g.scalar(1), s)))))]
  }),
  Softplus: rule((g, { x: [a], dy }) => [g.mul(dy, g.sigmoid(a!))]),
  Where: rule((g, { x: [condition, a, b], dy }) => [
    null,
    g.sumTo(g.where(condition!, dy, g.scalar(0)), a!.shape),
    g.sumTo(g.where(condition!, g.scalar(0), dy), b!.shape),
  ]),
  Cast: rule((g, { x: [a], dy }) => [g.cast(dy, a!.dtype)]),

  ReduceSum: rule((g, { x: [a], dy, node }) => [g.expand(g.reshape(dy, keptShape(a!, node)), a!.shape)]),
  ReduceMean: rule((g, { x: [a], y, dy, node }) => {
    const share = sizeOf(y.shape) / sizeOf(a!.shape)
    return [g.expand(g.reshape(g.scale(dy, share), keptShape(a!, node)), a!.shape)]
  }),
  /** y (dy - sum(dy y)) along the axis */
  Softmax: rule((g, { y, dy, node }) => [g.mul(y, g.sub(dy, g.sum(g.mul(dy, y), [number(node, 'axis')], true)))]),

  Reshape: rule((g, { x: [a], dy }) => [g.reshape(dy, a!.shape)]),
  Transpose: rule((g, { dy, node }) => {
    const order = numbers(node, 'perm')
    return [
      g.transpose(
        dy,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ]
  }),
  Expand: rule((g, { x: [a], dy }) => [g.sumTo(dy, a!.shape)]),
  Slice: rule((g, { x: [a], dy, node }) => {
    const [axis, start, end] = [number(node, 'axis'), number(node, 'start'), number(node, 'end')]
    const zeros = (length: number) =>
      length > 0
        ? [
            g.zeros(
              a!.shape.map((n, i) => (i === axis ? length : n)),
              a!.dtype,
            ),
          ]
        : []
    return [g.concat([...zeros(start), dy, ...zeros(a!.shape[axis]! - end)], axis)]
  }),
  Concat: rule((g, { x, dy, node }) => {
    const axis = number(node, 'axis')
    return g.split(
      dy,
      axis,
      x.map((v) => v.shape[axis]!),
    )
  }),
  Split: (g, node, dy) => [
    g.concat(
      node.outputs.map((y, i) => dy[i] ?? g.zeros(y.shape, y.dtype)),
      number(node, 'axis'),
    ),
  ],
  Gather: rule((g, { x: [table, indices], dy }) => [g.scatterAdd(dy, indices!, table!.shape[0]!), null]),

  Gemm: rule((g, { x: [a, b, bias], dy, node }) => {
    const [transA, transB] = [number(node, 'transA') === 1, number(node, 'transB') === 1]
    const da = transA ? g.gemm(b!, dy, { transA: transB, transB: true }) : g.gemm(dy, b!, { transB: !transB })
    const db = transB ? g.gemm(dy, a!, { transA: true, transB: transA }) : g.gemm(a!, dy, { transA: !transA })
    return bias ? [da, db, g.sumTo(dy, bias.shape)] : [da, db]
  }),
  MatMul: rule((g, { x: [a, b], dy }) => [g.matmul(dy, swapLast(g, b!)), g.sumTo(g.matmul(swapLast(g, a!), dy), b!.shape)]),

  ScanConv: rule((g, { x: [x, permutation, weight, bias], dy, node }) => {
    const [dx, dWeight, dBias] = fused(g, 'ScanConvGrad', [x!, permutation!, weight!, bias!, dy], node.attributes, [x!, weight!, bias!])
    return [dx!, null, dWeight!, dBias!]
  }),
  SelectiveScan: (g, node, [dy]) => {
    const [u, delta, A, B, C, D, z, deltaBias] = node.inputs
    const borders = node.outputs[1]!
    const gradients = fused(g, 'SelectiveScanGrad', [...node.inputs, borders, dy!], node.attributes, [
      u!,
      delta!,
      A!,
      B!,
      C!,
      D ?? null,
      z ?? null,
      deltaBias ?? null,
    ])
    return [...gradients, null]
  },
  AddNormModulate: (g, node, [dModulated, dNormalized, dResidual, , , dGated]) => {
    const [h, residual, weight, bias, shift, scale, keep, gate, y, yBias] = node.inputs
    const [modulated, , r, mean, rstd] = node.outputs
    const mixed = modulated!.dtype !== r!.dtype
    const summed = residual || keep || mixed || gate ? r! : h!
    const inputs = [
      summed,
      weight!,
      bias!,
      shift!,
      scale!,
      keep!,
      mean!,
      rstd!,
      dModulated ?? g.zeros(modulated!.shape, modulated!.dtype),
      dNormalized ?? null,
      dResidual ?? null,
      ...(gate ? [null, gate, y!, dGated ?? null, yBias ?? null] : []),
    ]
    const separate = residual !== null && (keep !== null || mixed || dGated)
    const [dh, dResidualIn, dWeight, dBias, dShift, dScale, dGate, dy, dYBias] = fused(g, 'AddNormModulateGrad', inputs, node.attributes, [
      modulated!, // in shape and type as h, which is not there where the residual is the whole sum
      separate ? residual! : null,
      weight ?? null,
      bias ?? null,
      shift ?? null,
      scale ?? null,
      ...(gate ? [gate, y!] : []),
      ...(yBias ? [yBias] : []),
    ])
    const dResidualAll = residual ? (separate ? dResidualIn! : dh!) : null
    return [dh!, dResidualAll, dWeight!, dBias!, dShift!, dScale!, null, dGate ?? null, dy ?? null, dYBias ?? null]
  },
  GateAdd: rule((g, { x: [, ...branch], dy }) => {
    const [gate, y, yBias] = branch
    return [dy, ...fused(g, 'GateAddGrad', [gate!, y!, dy, ...(yBias ? [yBias] : [])], {}, branch)]
  }),
  Attention: rule((g, { x: [q, k, v], y, dy, node }) =>
    fused(g, 'AttentionGrad', [q!, k!, v!, y, node.outputs[1]!, dy], node.attributes, [q!, k!, v!]),
  ),
}

/** The shape of a reduction's result with the reduced axes kept as 1. */
function keptShape(x: Value, node: Node): number[] {
  const axes = new Set(numbers(node, 'axes'))
  return x.shape.map((n, i) => (axes.has(i) ? 1 : n))
}

function swapLast(g: GraphBuilder, x: Value): Value {
  const rank = x.shape.length
  const order = x.shape.map((_, i) => i)
  return g.transpose(x, [...order.slice(0, -2), rank - 1, rank - 2])
}
