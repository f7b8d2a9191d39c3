import { broadcastShape, normalizeAxis, sameShape, ShapeError, show, sizeOf } from './shape.ts'
import { isFloat, wideOf, type Attributes, type ConstantData, type DType, type Graph, type Node, type Shape, type Value } from './value.ts'

export interface GemmOptions {
  transA?: boolean
  transB?: boolean
  /** [N] or [M, N], added to the product. */
  bias?: Value
}

export interface Precision {
  /** Type of tokens and of matrix products; default: that of the graph. Weights, statistics, states and losses stay in the graph's own. */
  compute?: DType
  /** Positions between the states that a selective scan keeps for its gradient. */
  scanChunk?: number
  /** Whether sums are written as products, which a GPU adds in one order; its own sums it adds as it happens. Default: where `compute` has fewer bits. */
  sumsInOrder?: boolean
}

/** Equal pieces that ONNX Runtime cuts on a GPU in one kernel; the addresses of more would pass through memory of the host, which no recorded graph may read. */
export const mostPieces = 32

/** A place in a network after which everything can be computed from the values that cross it: a gradient pass may keep those and nothing else. */
export interface Border {
  /** Number of nodes before it. */
  readonly at: number
  /** What is handed across, the main stream first. */
  readonly values: readonly Value[]
}

/**
 * Builds a typed graph, one function per operation. Shapes are static and are checked as the graph is built,
 * so a size that does not fit is reported where the network is written and not where it runs.
 */
export class GraphBuilder implements Graph {
  /** Float type of weights, statistics and losses: 'f32' to run, 'f64' to check gradients. */
  readonly float: DType
  readonly compute: DType
  readonly scanChunk: number
  readonly sumsInOrder: boolean
  readonly nodes: Node[] = []
  readonly inputs = new Map<string, Value>()
  readonly parameters = new Map<string, Value>()
  readonly constants = new Map<Value, ConstantData>()
  readonly outputs = new Map<string, Value>()
  readonly borders: Border[] = []
  /** Parameters in the type of computation, cast once however often they are used. */
  readonly #computed = new Map<Value, Value>()
  /** Constants that are made once however often they are used. */
  readonly #constants = new Map<string, Value>()
  #nextId = 0

  constructor(float: DType = 'f32', { compute = float, scanChunk = 32, sumsInOrder = compute !== float }: Precision = {}) {
    this.float = float
    this.compute = compute
    this.scanChunk = scanChunk
    this.sumsInOrder = sumsInOrder
  }

  /** A tensor that is handed in at every run. */
  input(name: string, shape: Shape, dtype: DType = this.float): Value {
    return this.#named(this.inputs, name, shape, dtype)
  }

  /** A trained tensor. */
  parameter(name: string, shape: Shape): Value {
    return this.#named(this.parameters, name, shape, this.float)
  }

  output(name: string, value: Value): void {
    if (this.outputs.has(name) || this.inputs.has(name) || this.parameters.has(name))
      throw new ShapeError(`output: "${name}" is named twice. Give each output a name that no input or parameter has.`)
    this.outputs.set(name, value)
  }

  /** Marks a border here. */
  border(values: readonly Value[]): void {
    this.borders.push({ at: this.nodes.length, values })
  }

  /** Writes other nodes, or none, in the place of some. */
  replace(instead: ReadonlyMap<Node, readonly Node[]>): void {
    const written = (end?: number) => this.nodes.slice(0, end).flatMap((node) => instead.get(node) ?? [node])
    const borders = this.borders.map(({ at, values }) => ({ at: written(at).length, values }))
    this.nodes.splice(0, this.nodes.length, ...written())
    this.borders.splice(0, borders.length, ...borders)
  }

  /** Puts the nodes from `start` on in front of the first border, or of all, and takes `gone` away from those before `start`. */
  hoist(start: number, gone: ReadonlySet<Node>): void {
    const hoisted = this.nodes.splice(start)
    const staying = (end?: number) => this.nodes.slice(0, end).filter((node) => !gone.has(node))
    const borders = this.borders.map(({ at, values }) => ({ at: staying(at).length + hoisted.length, values }))
    const first = staying(this.borders[0]?.at ?? 0)
    this.nodes.splice(0, start, ...first, ...hoisted, ...staying().slice(first.length))
    this.borders.splice(0, borders.length, ...borders)
  }

  constant(data: ConstantData, shape: Shape, dtype: DType): Value {
    if (data.length !== sizeOf(shape)) throw new ShapeError(`constant: ${data.length} elements do not fill shape ${show(shape)}.`)
    const value = this.#value(dtype, shape, null)
    this.constants.set(value, data)
    return value
  }

  /** A weight in the type of computation. */
  computed(parameter: Value): Value {
    if (parameter.dtype === this.compute) return parameter
    const known = this.#computed.get(parameter) ?? this.cast(parameter, this.compute)
    this.#computed.set(parameter, known)
    return known
  }

  /** A float constant in the graph's own precision. */
  floats(data: ArrayLike<number>, shape: Shape): Value {
    return this.constant(this.float === 'f64' ? Float64Array.from(data) : Float32Array.from(data), shape, this.float)
  }

  ints(data: ArrayLike<number>, shape: Shape): Value {
    return this.constant(Int32Array.from(data), shape, 'i32')
  }

  scalar(x: number): Value {
    return this.floats([x], [])
  }

  zeros(shape: Shape, dtype: DType = this.float): Value {
    return this.#once(`zeros ${show(shape)} ${dtype}`, () => this.cast(this.expand(this.scalar(0), shape), dtype))
  }

  /** A matrix with ones on its diagonal and zeros beside it. */
  diagonal(rows: number, columns: number, dtype: DType = this.compute): Value {
    const ones = Array.from({ length: rows * columns }, (_, i) => Number(i % (columns + 1) === 0 && i < columns * columns))
    return this.#once(`diagonal ${rows} ${columns} ${dtype}`, () => this.cast(this.floats(ones, [rows, columns]), dtype))
  }

  #once(key: string, make: () => Value): Value {
    const known = this.#constants.get(key) ?? make()
    this.#constants.set(key, known)
    return known
  }

  // Element by element. Shapes broadcast.
  add = (a: Value, b: Value): Value => this.#binary('Add', a, b)
  sub = (a: Value, b: Value): Value => this.#binary('Sub', a, b)
  mul = (a: Value, b: Value): Value => this.#binary('Mul', a, b)
  div = (a: Value, b: Value): Value => this.#binary('Div', a, b)
  less = (a: Value, b: Value): Value => this.#binary('Less', a, b, 'bool')
  scale = (a: Value, factor: number): Value => this.mul(a, this.scalar(factor))
  neg = (x: Value): Value => this.#unary('Neg', x)
  exp = (x: Value): Value => this.#unary('Exp', x)
  log = (x: Value): Value => this.#unary('Log', x)
  sqrt = (x: Value): Value => this.#unary('Sqrt', x)
  reciprocal = (x: Value): Value => this.#unary('Reciprocal', x)
  sin = (x: Value): Value => this.#unary('Sin', x)
  cos = (x: Value): Value => this.#unary('Cos', x)
  tanh = (x: Value): Value => this.#unary('Tanh', x)
  sigmoid = (x: Value): Value => this.#unary('Sigmoid', x)
  silu = (x: Value): Value => this.#unary('Silu', x)
  softplus = (x: Value): Value => this.#unary('Softplus', x)
  square = (x: Value): Value => this.mul(x, x)

  where(condition: Value, a: Value, b: Value): Value {
    if (condition.dtype !== 'bool') throw new ShapeError(`where: the condition must be bool, not ${condition.dtype}.`)
    this.#sameType('where', a, b)
    return this.node('Where', [condition, a, b], {}, [
      [broadcastShape('where', condition.shape, broadcastShape('where', a.shape, b.shape)), a.dtype],
    ])[0]!
  }

  cast(x: Value, to: DType): Value {
    return x.dtype === to ? x : this.node('Cast', [x], { to }, [[x.shape, to]])[0]!
  }

  // Reductions.
  sum = (x: Value, axes: readonly number[], keepDims = false): Value => this.#reduce('ReduceSum', x, axes, keepDims)
  mean = (x: Value, axes: readonly number[], keepDims = false): Value => this.#reduce('ReduceMean', x, axes, keepDims)

  /** Sum over the axes along which `shape` was broadcast: the gradient of a broadcast. */
  sumTo(x: Value, shape: Shape): Value {
    if (sameShape(x.shape, shape)) return x
    const lead = x.shape.length - shape.length
    const axes = x.shape.flatMap((n, i) => (i < lead || (shape[i - lead] === 1 && n !== 1) ? [i] : []))
    if (axes.length < x.shape.length && axes.every((axis, i) => axis === i)) return this.reshape(this.#columnSums(x, axes.length), shape)
    return this.reshape(this.cast(this.sum(this.cast(x, wideOf(x.dtype)), axes, true), x.dtype), shape)
  }

  /**
   * Sums over the first axes as a product with a row of ones: it adds in float without a copy of that type, and always in the same order, which ONNX
   * Runtime's own sum on a GPU does not.
   */
  #columnSums(x: Value, axes: number): Value {
    const rows = sizeOf(x.shape.slice(0, axes))
    const ones = this.#once(`ones ${rows} ${x.dtype}`, () => this.cast(this.expand(this.scalar(1), [1, rows]), x.dtype))
    return this.gemm(ones, this.reshape(x, [rows, sizeOf(x.shape.slice(axes))]))
  }

  softmax(x: Value, axis = -1): Value {
    return this.node('Softmax', [x], { axis: normalizeAxis('softmax', axis, x.shape.length) }, [[x.shape, x.dtype]])[0]!
  }

  // Shapes.
  reshape(x: Value, shape: Shape): Value {
    if (sameShape(x.shape, shape)) return x
    if (sizeOf(x.shape) !== sizeOf(shape))
      throw new ShapeError(`reshape: ${show(x.shape)} holds ${sizeOf(x.shape)} elements and ${show(shape)} ${sizeOf(shape)}.`)
    return this.node('Reshape', [x], { shape }, [[shape, x.dtype]])[0]!
  }

  transpose(x: Value, order: readonly number[]): Value {
    const rank = x.shape.length
    if (order.length !== rank || new Set(order).size !== rank)
      throw new ShapeError(`transpose: order ${show(order)} does not name each axis of ${show(x.shape)} once.`)
    return this.node('Transpose', [x], { perm: order }, [[order.map((a) => x.shape[normalizeAxis('transpose', a, rank)]!), x.dtype]])[0]!
  }

  expand(x: Value, shape: Shape): Value {
    if (sameShape(x.shape, shape)) return x
    if (!sameShape(broadcastShape('expand', x.shape, shape), shape))
      throw new ShapeError(`expand: ${show(x.shape)} cannot be repeated to ${show(shape)}.`)
    return this.node('Expand', [x], { shape }, [[shape, x.dtype]])[0]!
  }

  /** Elements start..end (end not included) along one axis. */
  slice(x: Value, axis: number, start: number, end: number): Value {
    const a = normalizeAxis('slice', axis, x.shape.length)
    const n = x.shape[a]!
    if (start < 0 || end > n || start >= end) throw new ShapeError(`slice: ${start}..${end} lies outside axis ${a} of ${n} elements.`)
    if (start === 0 && end === n) return x
    return this.node('Slice', [x], { axis: a, start, end }, [[x.shape.map((m, i) => (i === a ? end - start : m)), x.dtype]])[0]!
  }

  concat(values: readonly Value[], axis: number): Value {
    const first = values[0]
    if (!first) throw new ShapeError('concat: nothing to join. Give at least one tensor.')
    if (values.length === 1) return first
    const a = normalizeAxis('concat', axis, first.shape.length)
    for (const v of values) {
      this.#sameType('concat', first, v)
      if (v.shape.length !== first.shape.length || v.shape.some((n, i) => i !== a && n !== first.shape[i])) {
        throw new ShapeError(`concat: ${show(v.shape)} and ${show(first.shape)} differ outside axis ${a}.`)
      }
    }
    const joined = values.reduce((n, v) => n + v.shape[a]!, 0)
    return this.node('Concat', values, { axis: a }, [[first.shape.map((n, i) => (i === a ? joined : n)), first.dtype]])[0]!
  }

  /** Cut one axis into pieces of the given sizes. */
  split(x: Value, axis: number, sizes: readonly number[]): Value[] {
    const a = normalizeAxis('split', axis, x.shape.length)
    const whole = sizes.reduce((n, m) => n + m, 0)
    if (whole !== x.shape[a]) throw new ShapeError(`split: sizes ${show(sizes)} sum to ${whole}, axis ${a} has ${x.shape[a]}.`)
    return this.node(
      'Split',
      [x],
      { axis: a, sizes },
      sizes.map((size) => [x.shape.map((n, i) => (i === a ? size : n)), x.dtype]),
    )
  }

  /** The columns of a matrix [M, N], each [M]. */
  columns(x: Value): Value[] {
    const [rows, count] = x.shape as [number, number]
    const starts = Array.from({ length: Math.ceil(count / mostPieces) }, (_, i) => i * mostPieces)
    const groups = starts.map((start) => this.slice(x, 1, start, Math.min(count, start + mostPieces)))
    return groups
      .flatMap((group) => this.split(group, 1, Array<number>(group.shape[1]!).fill(1)))
      .map((column) => this.reshape(column, [rows]))
  }

  /** Rows of `table` [R, ...] at integer `indices` [...]. */
  gather(table: Value, indices: Value): Value {
    return this.node('Gather', [table, indices], {}, [[[...indices.shape, ...table.shape.slice(1)], table.dtype]])[0]!
  }

  /** The gradient of `gather`: rows of `updates` added into a zero table of `rows` rows. Rows may repeat. */
  scatterAdd(updates: Value, indices: Value, rows: number): Value {
    return this.node('ScatterAdd', [updates, indices], { rows }, [
      [[rows, ...updates.shape.slice(indices.shape.length)], updates.dtype],
    ])[0]!
  }

  /** [M, K] x [K, N] -> [M, N]; transposed operands are read in place, never copied. */
  gemm(a: Value, b: Value, { transA = false, transB = false, bias }: GemmOptions = {}): Value {
    this.#sameType('gemm', a, b)
    if (a.shape.length !== 2 || b.shape.length !== 2)
      throw new ShapeError(`gemm: needs two matrices, got ${show(a.shape)} and ${show(b.shape)}.`)
    const [m, k] = transA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!]
    const [k2, n] = transB ? [b.shape[1]!, b.shape[0]!] : [b.shape[0]!, b.shape[1]!]
    if (k !== k2)
      throw new ShapeError(
        `gemm: inner sizes ${k} and ${k2} differ (${show(a.shape)}${transA ? 'ᵀ' : ''} x ${show(b.shape)}${transB ? 'ᵀ' : ''}).`,
      )
    return this.node('Gemm', bias ? [a, b, bias] : [a, b], { transA: Number(transA), transB: Number(transB) }, [[[m, n], a.dtype]])[0]!
  }

  /** Batched product of the last two axes; leading axes are equal, or `b` is one matrix for all. */
  matmul(a: Value, b: Value): Value {
    this.#sameType('matmul', a, b)
    const [m, k] = a.shape.slice(-2)
    const [k2, n] = b.shape.slice(-2)
    const fits = b.shape.length === 2 || sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
    if (a.shape.length < 2 || k !== k2 || !fits) throw new ShapeError(`matmul: ${show(a.shape)} and ${show(b.shape)} do not multiply.`)
    return this.node('MatMul', [a, b], {}, [[[...a.shape.slice(0, -2), m!, n!], a.dtype]])[0]!
  }

  /** `x`, not before the others are there: the same memory under another name. */
  after(x: Value, others: readonly Value[]): Value {
    return this.node('After', [x, ...others], {}, [[x.shape, x.dtype]])[0]!
  }

  /** The general door, for fused operations: output shapes are given by the caller that checked them. */
  node(op: string, inputs: readonly (Value | null)[], attributes: Attributes, outputs: readonly (readonly [Shape, DType])[]): Value[] {
    const node = { op, inputs, attributes, outputs: [] as Value[] }
    for (const [shape, dtype] of outputs) node.outputs.push(this.#value(dtype, shape, node))
    this.nodes.push(node)
    return node.outputs
  }

  #named(table: Map<string, Value>, name: string, shape: Shape, dtype: DType): Value {
    if (this.inputs.has(name) || this.parameters.has(name))
      throw new ShapeError(`"${name}" is named twice. Give each input and parameter a name of its own.`)
    const value = this.#value(dtype, shape, null)
    table.set(name, value)
    return value
  }

  #value(dtype: DType, shape: Shape, node: Node | null): Value {
    if (shape.some((n) => !Number.isInteger(n) || n < 1))
      throw new ShapeError(`${node?.op ?? 'tensor'}: shape ${show(shape)} must hold whole numbers of at least 1.`)
    return { id: this.#nextId++, dtype, shape, node }
  }

  #unary(op: string, x: Value): Value {
    if (!isFloat(x.dtype)) throw new ShapeError(`${op}: needs a float tensor, got ${x.dtype}.`)
    return this.node(op, [x], {}, [[x.shape, x.dtype]])[0]!
  }

  #binary(op: string, a: Value, b: Value, dtype: DType = a.dtype): Value {
    this.#sameType(op, a, b)
    return this.node(op, [a, b], {}, [[broadcastShape(op, a.shape, b.shape), dtype]])[0]!
  }

  #reduce(op: string, x: Value, axes: readonly number[], keepDims: boolean): Value {
    const reduced = new Set(axes.map((a) => normalizeAxis(op, a, x.shape.length)))
    const shape = keepDims ? x.shape.map((n, i) => (reduced.has(i) ? 1 : n)) : x.shape.filter((_, i) => !reduced.has(i))
    return this.node(op, [x], { axes: [...reduced].sort((a, b) => a - b), keepDims: Number(keepDims) }, [[shape, x.dtype]])[0]!
  }

  #sameType(op: string, a: Value, b: Value): void {
    if (a.dtype !== b.dtype) throw new ShapeError(`${op}: operands are ${a.dtype} and ${b.dtype}. Cast one of them.`)
  }
}
