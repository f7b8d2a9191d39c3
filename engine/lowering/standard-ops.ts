import { sizeOf } from '../graph/shape.ts'
import type { Node, Shape, Value } from '../graph/value.ts'
import { int, ints, type Emitter } from './emitter.ts'

/** Writes one operation of the graph as ONNX nodes. */
export type Lowering = (e: Emitter, node: Node) => void

const same =
  (op: string): Lowering =>
  (e, { inputs, outputs }) =>
    e.define(
      outputs,
      op,
      inputs.map((x) => e.name(x)),
    )

const number = (node: Node, name: string): number => node.attributes[name] as number
const numbers = (node: Node, name: string): readonly number[] => node.attributes[name] as readonly number[]
const onnxTypes: Readonly<Record<string, number>> = { f32: 1, i32: 6, i64: 7, bool: 9, f16: 10, f64: 11, bf16: 16 }

const reduce =
  (op: 'ReduceSum' | 'ReduceMean'): Lowering =>
  (e, node) => {
    const axes = numbers(node, 'axes')
    const areNeighbors = axes.every((axis, i) => axis === axes[0]! + i)
    if (e.sumsInOrder && areNeighbors && node.inputs[0]!.dtype === 'f32') reduceInOrder(e, node, op)
    else e.define(node.outputs, op, [e.name(node.inputs[0]), e.ints(axes)], { keepdims: int(number(node, 'keepDims')) })
  }

/**
 * Sums over neighboring axes as products with equal factors: a GPU would add in an order left to chance. The sum of all elements is a sum of sums, so
 * that each is short.
 */
function reduceInOrder(e: Emitter, { inputs, outputs, attributes }: Node, op: 'ReduceSum' | 'ReduceMean'): void {
  const { shape } = inputs[0]!
  const axes = attributes.axes as readonly number[]
  const outer = sizeOf(shape.slice(0, axes[0]))
  const count = sizeOf(axes.map((axis) => shape[axis]!))
  const inner = sizeOf(shape) / (outer * count)
  const factor = op === 'ReduceMean' ? 1 / count : 1
  const equal = (value: number, factors: Shape) => e.constant(new Float32Array(sizeOf(factors)).fill(value), factors, 'f32')
  const x = (as: Shape) => e.emit('Reshape', [e.name(inputs[0]), e.ints(as)])
  const columns = outer * inner === 1 ? divisorNear(Math.sqrt(count), count) : 1
  const sums =
    columns > 1
      ? e.emit('Gemm', [e.emit('Gemm', [equal(1, [1, count / columns]), x([count / columns, columns])]), equal(factor, [columns, 1])])
      : e.emit('MatMul', [equal(factor, [outer, 1, count]), x([outer, count, inner])])
  e.define(outputs, 'Reshape', [sums, e.ints(outputs[0]!.shape)])
}

/** The largest divisor of a number that is not above `limit`. */
function divisorNear(limit: number, n: number): number {
  let divisor = Math.floor(limit)
  while (n % divisor !== 0) divisor--
  return divisor
}

const withShape =
  (op: string): Lowering =>
  (e, node) =>
    e.define(node.outputs, op, [e.name(node.inputs[0]), e.ints(numbers(node, 'shape'))])

/** Operations that ONNX has itself, or nearly. */
export const standardOps: Readonly<Record<string, Lowering>> = {
  Add: same('Add'),
  Sub: same('Sub'),
  Mul: same('Mul'),
  Div: same('Div'),
  Less: same('Less'),
  Neg: same('Neg'),
  Exp: same('Exp'),
  Log: same('Log'),
  Sqrt: same('Sqrt'),
  Reciprocal: same('Reciprocal'),
  Sin: same('Sin'),
  Cos: same('Cos'),
  Tanh: same('Tanh'),
  Sigmoid: same('Sigmoid'),
  /** ONNX Runtime has no Softplus in float64, where only gradients are checked and the plain formula does. */
  Softplus: (e, { inputs: [x], outputs }) =>
    e.float === 'f64'
      ? e.define(outputs, 'Log', [e.emit('Add', [e.emit('Exp', [e.name(x)]), e.scalar(1)])])
      : e.define(outputs, 'Softplus', [e.name(x)]),
  Where: same('Where'),
  MatMul: same('MatMul'),
  Silu: (e, { inputs: [x], outputs }) => e.define(outputs, 'Mul', [e.name(x), e.emit('Sigmoid', [e.name(x)])]),
  Cast: (e, node) => e.define(node.outputs, 'Cast', [e.name(node.inputs[0])], { to: int(onnxTypes[node.attributes.to as string]!) }),
  ReduceSum: reduce('ReduceSum'),
  ReduceMean: reduce('ReduceMean'),
  Softmax: (e, node) => e.define(node.outputs, 'Softmax', [e.name(node.inputs[0])], { axis: int(number(node, 'axis')) }),
  Reshape: withShape('Reshape'),
  Expand: withShape('Expand'),
  Transpose: (e, node) => e.define(node.outputs, 'Transpose', [e.name(node.inputs[0])], { perm: ints(numbers(node, 'perm')) }),
  Slice: (e, node) =>
    e.define(node.outputs, 'Slice', [
      e.name(node.inputs[0]),
      e.ints([number(node, 'start')]),
      e.ints([number(node, 'end')]),
      e.ints([number(node, 'axis')]),
    ]),
  Split: (e, node) =>
    e.define(node.outputs, 'Split', [e.name(node.inputs[0]), e.ints(numbers(node, 'sizes'))], { axis: int(number(node, 'axis')) }),
  Concat: (e, node) =>
    e.define(
      node.outputs,
      'Concat',
      node.inputs.map((x) => e.name(x)),
      { axis: int(number(node, 'axis')) },
    ),
  Gather: (e, node) =>
    e.define(
      node.outputs,
      'Gather',
      node.inputs.map((x) => e.name(x)),
      { axis: int(0) },
    ),
  Gemm: (e, node) =>
    e.define(
      node.outputs,
      'Gemm',
      node.inputs.map((x) => e.name(x)),
      { transA: int(number(node, 'transA')), transB: int(number(node, 'transB')) },
    ),
  /** ScatterElements adds in order, one thread: equal rows give the same bits at every run. ScatterND would not. */
  ScatterAdd: (e, node) => {
    const [updates, indices] = node.inputs as [Value, Value]
    const rows = sizeOf(indices.shape)
    const width = sizeOf(updates.shape) / rows
    const flat = e.emit('Reshape', [e.name(updates), e.ints([rows, width])])
    if (e.sumsInOrder) {
      // A GPU would add in an order left to chance; as a product with ones and zeros it does not.
      const count = number(node, 'rows')
      const all = e.constant(
        Int32Array.from({ length: count }, (_, i) => i),
        [1, count],
        'i32',
      )
      const equal = e.emit('Equal', [e.emit('Reshape', [e.name(indices), e.ints([rows, 1])]), all])
      const table = e.emit('Gemm', [e.emit('Cast', [equal], { to: int(onnxTypes.f32!) }), flat], { transA: int(1) })
      return e.define(node.outputs, 'Reshape', [table, e.ints(node.outputs[0]!.shape)])
    }
    const ids = e.emit('Cast', [e.emit('Reshape', [e.name(indices), e.ints([rows, 1])])], { to: int(onnxTypes.i64!) })
    const everywhere = e.emit('Expand', [ids, e.ints([rows, width])])
    const zeros = e.emit('Expand', [e.scalar(0), e.ints([number(node, 'rows'), width])])
    const table = e.emit('ScatterElements', [zeros, everywhere, flat], { axis: int(0), reduction: { string: 'add' } })
    e.define(node.outputs, 'Reshape', [table, e.ints(node.outputs[0]!.shape)])
  },
}
