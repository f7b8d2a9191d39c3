import { ShapeError } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'
import { int, ints, type Emitter } from './emitter.ts'
import type { OnnxGraph } from './onnx/model.ts'
import type { Lowering } from './standard-ops.ts'

const number = (node: Node, name: string): number => node.attributes[name] as number
const float = (node: Node, name: string): number => (node.attributes[name] as { float: number }).float

/** Fused operations written in ONNX's own. Only what drawing needs: gradients and the optimizer have no portable form. */
export const portableOps: Readonly<Record<string, Lowering>> = {
  /** The convolution as one shifted product a tap; few taps, so no layout change for a depthwise Conv. */
  ScanConv: (e, node) => {
    const [x, permutation, weight, bias] = node.inputs as [Value, Value, Value, Value]
    const [b, l, channels] = x.shape as [number, number, number]
    const taps = weight.shape[1]!
    const length = number(node, 'segment') || l
    const segments = (b * l) / length
    const ordered = e.emit('Gather', [e.name(x), e.name(permutation)], { axis: int(1) })
    const rows = e.emit('Reshape', [ordered, e.ints([segments, length, channels])])
    const padded = e.emit('Pad', [rows, e.ints([0, taps - 1, 0, 0, 0, 0]), e.scalar(0)])
    let sum = e.name(bias)
    for (let k = 0; k < taps; k++) {
      const shifted = e.emit('Slice', [padded, e.ints([k]), e.ints([k + length]), e.ints([1])])
      const tap = e.emit('Reshape', [e.emit('Slice', [e.name(weight), e.ints([k]), e.ints([k + 1]), e.ints([1])]), e.ints([channels])])
      sum = e.emit('Add', [sum, e.emit('Mul', [shifted, tap])])
    }
    e.define(node.outputs, 'Reshape', [silu(e, sum), e.ints(x.shape)])
  },

  SelectiveScan: (e, node) => {
    const [u, delta, A, B, C, D, z, deltaBias, permutation] = node.inputs as [
      Value,
      Value,
      Value,
      Value,
      Value,
      ...(Value | null | undefined)[],
    ]
    const [b, l, channels] = u.shape as [number, number, number]
    const n = A.shape[1]!
    const length = number(node, 'segment') || l
    const sequences = (b * l) / length

    let step = deltaBias ? e.emit('Add', [e.name(delta), e.name(deltaBias)]) : e.name(delta)
    if (number(node, 'deltaSoftplus') === 1) step = e.emit('Softplus', [step])
    const timeFirst = (name: string, width: number) =>
      e.emit('Transpose', [e.emit('Reshape', [name, e.ints([sequences, length, width])])], { perm: ints([1, 0, 2]) })
    const start = e.emit('Expand', [e.scalar(0), e.ints([sequences, channels, n])])
    const last = e.fresh()
    const stacked = e.fresh()
    e.graph.nodes.push({
      op: 'Scan',
      domain: '',
      inputs: [start, timeFirst(step, channels), timeFirst(e.name(u), channels), timeFirst(e.name(B), n), timeFirst(e.name(C), n)],
      outputs: [last, stacked],
      attributes: { num_scan_inputs: int(4), body: { graph: recurrence(e, e.name(A), { sequences, channels, n }) } },
    })
    let y = e.emit('Reshape', [e.emit('Transpose', [stacked], { perm: ints([1, 0, 2]) }), e.ints(u.shape)])
    if (D) y = e.emit('Add', [y, e.emit('Mul', [e.name(u), e.name(D)])])
    if (permutation) y = e.emit('Gather', [y, inverse(e, e.name(permutation), l)], { axis: int(1) })
    if (z) y = e.emit('Mul', [y, silu(e, e.name(z))])
    e.define([node.outputs[0]!], 'Reshape', [y, e.ints(u.shape)])
  },

  AddNormModulate: (e, node) => {
    const [h, residual, weight, bias, shift, scale, keep, gate, y, yBias] = node.inputs as [Value, ...(Value | null | undefined)[]]
    const [modulated, normalized, newResidual, , , gated] = node.outputs
    const [b, , d] = h.shape as [number, number, number]
    const perSample = (value: Value) => e.emit('Reshape', [e.name(value), e.ints([b, 1, value.shape.length === 1 ? 1 : d])])

    let r = e.name(h)
    if (gate && y) r = e.emit('Add', [r, e.emit('Mul', [biased(e, y, yBias), perSample(gate)])])
    if (gated) e.define([gated], 'Identity', [r])
    if (keep) r = e.emit('Mul', [r, perSample(keep)])
    if (residual) r = e.emit('Add', [r, e.name(residual)])
    const axes = e.ints([2])
    const centered = node.attributes.norm === 'layer' ? e.emit('Sub', [r, e.emit('ReduceMean', [r, axes])]) : r
    const power = e.emit('ReduceMean', [e.emit('Mul', [centered, centered]), axes])
    const root = e.emit('Sqrt', [e.emit('Add', [power, e.scalar(float(node, 'epsilon'))])])
    let n = e.emit('Div', [centered, root])
    if (weight) n = e.emit('Mul', [n, e.name(weight)])
    if (bias) n = e.emit('Add', [n, e.name(bias)])
    let m = n
    if (scale) m = e.emit('Mul', [m, e.emit('Add', [perSample(scale), e.scalar(1)])])
    if (shift) m = e.emit('Add', [m, perSample(shift)])
    e.define([modulated!], 'Identity', [m])
    e.define([normalized!], 'Identity', [n])
    e.define([newResidual!], 'Identity', [r])
  },

  GateAdd: (e, node) => {
    const [n, gate, y, yBias] = node.inputs as [Value, Value, Value, Value?]
    const [b, d] = gate.shape as [number, number]
    const gated = e.emit('Mul', [biased(e, y, yBias), e.emit('Reshape', [e.name(gate), e.ints([b, 1, d])])])
    e.define(node.outputs, 'Add', [e.name(n), gated])
  },

  Attention: (e, node) => {
    const [q, k, v] = node.inputs as [Value, Value, Value]
    const heads = number(node, 'heads')
    const split = (x: Value, perm: readonly number[]) => {
      const [b, l, inner] = x.shape as [number, number, number]
      return e.emit('Transpose', [e.emit('Reshape', [e.name(x), e.ints([b, l, heads, inner / heads])])], { perm: ints(perm) })
    }
    const scores = e.emit('Mul', [e.emit('MatMul', [split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])]), e.scalar(float(node, 'scale'))])
    const mixed = e.emit('MatMul', [e.emit('Softmax', [scores], { axis: int(3) }), split(v, [0, 2, 1, 3])])
    e.define([node.outputs[0]!], 'Reshape', [e.emit('Transpose', [mixed], { perm: ints([0, 2, 1, 3]) }), e.ints(q.shape)])
  },
}

const biased = (e: Emitter, y: Value, bias: Value | null | undefined) => (bias ? e.emit('Add', [e.name(y), e.name(bias)]) : e.name(y))

function silu(e: Emitter, x: string): string {
  return e.emit('Mul', [x, e.emit('Sigmoid', [x])])
}

/** The inverse of a permutation that is an initializer of the graph, as a new initializer. */
function inverse(e: Emitter, name: string, length: number): string {
  const data = e.graph.initializers.find((tensor) => tensor.name === name)?.data
  if (!(data instanceof Int32Array))
    throw new ShapeError('SelectiveScan: the portable form needs its permutation as a constant of the graph.')
  const inverted = new Int32Array(length)
  data.forEach((token, position) => (inverted[token] = position))
  return e.constant(inverted, [length], 'i32')
}

/** One position of the scan: h <- exp(delta A) h + (delta u) B; y = sum over states of C h. */
function recurrence(e: Emitter, A: string, { sequences, channels, n }: { sequences: number; channels: number; n: number }): OnnxGraph {
  const body: OnnxGraph = { nodes: [], inputs: [], outputs: [], initializers: [], values: [] }
  const tensor = (shape: readonly number[]) => {
    const declared = { name: e.fresh(), dtype: e.float, shape }
    body.inputs.push(declared)
    return declared.name
  }
  const op = (name: string, inputs: readonly string[], output = e.fresh()) => {
    body.nodes.push({ op: name, domain: '', inputs, outputs: [output], attributes: name === 'ReduceSum' ? { keepdims: int(0) } : {} })
    return output
  }
  const h = tensor([sequences, channels, n])
  const [delta, u] = [tensor([sequences, channels]), tensor([sequences, channels])]
  const [B, C] = [tensor([sequences, n]), tensor([sequences, n])]
  const perChannel = (x: string) => op('Reshape', [x, e.ints([sequences, channels, 1])])
  const perState = (x: string) => op('Reshape', [x, e.ints([sequences, 1, n])])

  const decay = op('Exp', [op('Mul', [perChannel(delta), A])])
  const drive = op('Mul', [perChannel(op('Mul', [delta, u])), perState(B)])
  const next = op('Add', [op('Mul', [decay, h]), drive])
  const y = op('ReduceSum', [op('Mul', [next, perState(C)]), e.ints([2])])
  body.outputs.push(
    { name: next, dtype: e.float, shape: [sequences, channels, n] },
    { name: y, dtype: e.float, shape: [sequences, channels] },
  )
  return body
}
