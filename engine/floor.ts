import { sizeOf } from './graph/shape.ts'
import { elementBytes, type Graph, type Node, type Value } from './graph/value.ts'
import { loweredNodes } from './lowering/lower.ts'
import { isConstant, views } from './lowering/memory-plan.ts'
import { isLeftOut } from './lowering/native-ops.ts'

/** What a device does at best, measured in the same run as what is held against it. */
export interface Ceilings {
  /** Bytes read and written by a large copy, 10^9 a second. */
  copyGBps: number
  /** Multiplications and additions of a large product in the type of computation, 10^12 a second. */
  productTflops: number
  /** Exponentials of numbers in registers, 10^9 a second; a GPU computes its other special functions at the same rate. */
  exponentialGps: number
}

/** What cannot be left out of a computation, counted. */
export interface Work {
  bytes: number
  /** Multiplications and additions of matrix products. */
  flops: number
  /** Exponentials, logarithms, roots, reciprocals, sines: what a GPU has 16 units a multiprocessor for. */
  specials: number
}

export interface Floor extends Work {
  /** The sum over all operations of the longest of their three times. */
  ms: number
  /** The same if nothing were to be done but the products, one reading of each weight in the type of computation, and the optimizer's update. */
  leanMs: number
}

/**
 * The least time of a graph as it is lowered: every operation once, none overlapping another, each as fast as the slowest of its bytes, its products
 * and its special functions allow. An algorithm that joins operations may go below it, and so may small tensors that stay in the cache, for bytes are
 * counted at the speed of memory. What is computed of constants alone is done before the first run and counts nothing.
 */
export function floorOf(g: Graph, ceilings: Ceilings): Floor {
  const total = { bytes: 0, flops: 0, specials: 0, ms: 0 }
  let updateBytes = 0
  for (const { node, work } of countedNodes(g)) {
    total.bytes += work.bytes
    total.flops += work.flops
    total.specials += work.specials
    total.ms += floorMs(work, ceilings)
    if (node.op === 'AdamW') updateBytes += work.bytes
  }
  const weights = [...g.parameters.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const products = floorMs({ bytes: weights * elementBytes[g.compute], flops: total.flops, specials: 0 }, ceilings)
  return { ...total, leanMs: products + updateBytes / ceilings.copyGBps / 1e6 }
}

/** Milliseconds that each of the three takes. */
export function timesOf(
  { bytes, flops, specials }: Work,
  { copyGBps, productTflops, exponentialGps }: Ceilings,
): Record<keyof Work, number> {
  return { bytes: bytes / copyGBps / 1e6, flops: flops / productTflops / 1e9, specials: specials / exponentialGps / 1e6 }
}

/** Milliseconds that the scarcest of the three takes. */
export function floorMs(work: Work, ceilings: Ceilings): number {
  return Math.max(...Object.values(timesOf(work, ceilings)))
}

/** The operations that a run of a lowered graph computes, with their work; views and what depends on constants alone are none. */
export function countedNodes(g: Graph): { node: Node; work: Work; isWritten: (output: number) => boolean }[] {
  const { nodes, isNeeded } = loweredNodes(g, 'native')
  const constants = new Set(g.constants.keys())
  return nodes
    .filter((node) => !isConstant(node, constants) && !views.has(node.op))
    .map((node) => {
      const isWritten = (output: number) => !isLeftOut(node, output, isNeeded)
      return { node, work: workOf(node, isWritten), isWritten }
    })
}

/** Every input read once, every output that is written once; products; special functions. */
export function workOf(node: Node, isWritten: (output: number) => boolean = () => true): Work {
  const bytesWritten = (output: Value, i: number) => (isWritten(i) ? bytesOfColumns(output, columnsWritten[node.op]?.[i]?.(node)) : 0)
  const written = node.outputs.map(bytesWritten).reduce((sum, bytes) => sum + bytes, 0)
  return { bytes: bytesRead(node) + written, flops: products[node.op]?.(node) ?? 0, specials: specials[node.op]?.(node) ?? 0 }
}

const bytesOf = ({ dtype, shape }: Value): number => sizeOf(shape) * elementBytes[dtype]
const bytesOfColumns = (value: Value, columns?: number | null): number =>
  bytesOf(value) * (columns === undefined || columns === null ? 1 : columns / value.shape.at(-1)!)

function bytesRead(node: Node): number {
  const { op, inputs, outputs } = node
  const columns = inputs.map((input, place) => input && (columnsRead[op]?.[place]?.(node) ?? null))
  const whole = new Set(inputs.filter((_, place) => columns[place] === null))
  const read = [...whole].filter((input) => input !== null).map(bytesOf)
  inputs.forEach((input, place) => {
    if (input && columns[place] !== null) read.push(bytesOfColumns(input, columns[place]))
  })
  const result = bytesOf(outputs[0]!)
  if (op === 'Slice') return result
  if (op === 'Gather') return Math.min(read[0]!, result) + read[1]! // rows that nobody asks for are not read
  return read.reduce((sum, bytes) => sum + bytes, 0)
}

const size = (node: Node, input = 0): number => sizeOf(node.inputs[input]!.shape)
const made = ({ outputs }: Node): number => sizeOf(outputs[0]!.shape)

/** Queries times keys of all heads, and the width of a head. */
function scores({ inputs: [q, k], attributes }: Node): { count: number; width: number } {
  const [batch, queries, inner] = q!.shape as [number, number, number]
  const heads = attributes.heads as number
  return { count: batch * heads * queries * k!.shape[1]!, width: inner / heads }
}

/** Multiplications and additions of what a matrix unit can do. */
const products: Readonly<Record<string, (node: Node) => number>> = {
  Gemm: (node) => 2 * made(node) * node.inputs[0]!.shape[node.attributes.transA === 1 ? 0 : 1]!,
  MatMul: (node) => 2 * made(node) * node.inputs[0]!.shape.at(-1)!,
  /** q kᵀ, and the result times v. */
  Attention: (node) => 2 * 2 * scores(node).count * scores(node).width,
  /** q kᵀ once more, for it was not kept; the gradients of the scores, of q, of k and of v. */
  AttentionGrad: (node) => 5 * 2 * scores(node).count * scores(node).width,
  TimeSteps: (node) => 2 * made(node) * (node.attributes.rank as number),
  /** C times the states; and the time steps, where they are made there. */
  SelectiveScan: (node) => 2 * size(node) * (states(node) + ((node.attributes.rank as number | undefined) ?? 0)),
  /** The gradients of B and of C, summed over channels. */
  SelectiveScanGrad: (node) => 2 * 2 * size(node) * states(node),
}

const states = ({ inputs }: Node): number => inputs[2]!.shape[1]!

const channels = ({ outputs }: Node): number => outputs[0]!.shape[2]!

/** Of a convolution's gradient. */
const convolved = ({ inputs }: Node): number => inputs[4]!.shape[2]!

/** How many columns an operation reads of an input whose rows may be wider. */
const columnsRead: Readonly<Record<string, Readonly<Record<number, (node: Node) => number>>>> = {
  ScanConv: { 0: channels },
  SelectiveScan: { 3: states, 4: states, 6: channels },
  ScanConvGrad: { 0: convolved, 6: () => 0 },
  SelectiveScanGrad: { 3: states, 4: states, 6: channels },
  AddNormModulate: { 4: channels, 5: channels, 7: channels },
  GateAdd: { 1: channels },
}

/** How many columns it writes of a result whose rows may be wider: the others are there. */
const columnsWritten: typeof columnsRead = {
  ScanConvGrad: { 0: convolved },
  SelectiveScanGrad: { 6: channels },
}

const twice = (node: Node) => 2 * made(node)

/**
 * Special functions as a GPU has them: powers and logarithms of 2, reciprocals, roots, sines and cosines. A sigmoid is a power and a reciprocal, a
 * softplus a power and a logarithm. One root or division a row, in a norm or behind a softmax, is left out.
 */
const specials: Readonly<Record<string, (node: Node) => number>> = {
  Exp: made,
  Log: made,
  Sqrt: made,
  Reciprocal: made,
  Sin: made,
  Cos: made,
  Tanh: made,
  Div: made,
  Softmax: made,
  Sigmoid: twice,
  Silu: twice,
  Softplus: twice,
  ScanConv: twice,
  ScanConvGrad: (node) => 2 * size(node, 4),
  /** A power; the logarithm of the softplus is a polynomial. */
  TimeSteps: (node) => (node.attributes.softplus === 1 ? made(node) : 0),
  /** A position and channel: a power for each state, a softplus (2) where its steps are not given, and a gate's sigmoid (2); with 16 states 18 or 20. */
  SelectiveScan: (node) => size(node) * (states(node) + (hasSoftplus(node) && !isGiven(node) ? 2 : 0) + (hasGate(node) ? 2 : 0)),
  /**
   * Twice a power for each state, for the states are made again on a way forward from those that were kept, and their powers fit no register file
   * until the way back; the softplus on both ways (4) where its steps are not given, its slope (1), a gate's sigmoid (2); with 16 states 35 or 39.
   */
  SelectiveScanGrad: (node) =>
    size(node) * (2 * states(node) + (hasSoftplus(node) ? (isGiven(node) ? 1 : 5) : 0) + (hasGate(node) ? 2 : 0)),
  Attention: (node) => scores(node).count,
  AttentionGrad: (node) => scores(node).count,
  /** A root and a division a weight. */
  AdamW: (node) => 2 * trained(node),
  /** A pair of normal numbers: a logarithm, a root, a sine and a cosine. */
  Philox: (node) => (node.attributes.distribution === 'normal' ? 2 * made(node) : 0),
}

const hasSoftplus = ({ attributes }: Node): boolean => attributes.deltaSoftplus === 1
const isGiven = ({ attributes }: Node): boolean => attributes.stepsGiven === 1
const hasGate = ({ inputs }: Node): boolean => inputs[6] !== null

/** The weights of an update: its first outputs. */
function trained({ outputs, attributes }: Node): number {
  return outputs.slice(0, attributes.count as number).reduce((sum, { shape }) => sum + sizeOf(shape), 0)
}
