import { addNormModulate, attention, gateAdd, scanConv, selectiveScan } from './graph/fused.ts'
import type { GraphBuilder } from './graph/graph-builder.ts'
import type { Shape, Value } from './graph/value.ts'
import { project } from './nn/linear.ts'

interface Operand {
  shape: Shape
  /** Tokens have the type that is checked, `wide` ones the type of its sums. */
  wide?: boolean
  low?: number
  high?: number
}
type Operands = Readonly<Record<string, Operand>>

/** An operation with its operands, and how its gradient is asked for. */
export interface KernelCase {
  operation: string
  operands: Operands
  /** Without its gradient. */
  drawn?: boolean
  /** The node's first output. */
  build: (g: GraphBuilder, x: Record<string, Value>) => Value
}

/** Of a length that is no multiple of the stride. */
const order = (length: number, stride: number) => Int32Array.from({ length }, (_, i) => (i * stride) % length)

function scanCase(
  name: string,
  { batch, length, dim, state }: { batch: number; length: number; dim: number; state: number },
  {
    segment = 0,
    bc = null,
    gate = null,
    rank = 0,
    width = rank,
    drawn = rank > 0,
    decays = [-4, -0.1],
    powersOfE = false,
  }: {
    segment?: number
    bc?: readonly number[] | null
    gate?: readonly number[] | null
    rank?: number
    /** Of the rows that steps are made of: more than the rank where the weight has zeros behind it. */
    width?: number
    drawn?: boolean
    decays?: readonly [low: number, high: number]
    /** These are exponents, and decays the powers of e below zero: evenly spread over all magnitudes, as the network has them. */
    powersOfE?: boolean
  } = {},
): KernelCase {
  const tokens = [batch, length, dim]
  const states = [batch, length, state]
  return {
    operation: `SelectiveScan ${name}`,
    operands: {
      u: { shape: tokens },
      ...(rank
        ? { low: { shape: [batch, length, width] }, weight: { shape: [dim, rank], wide: width > rank, low: -0.3, high: 0.1 } }
        : { delta: { shape: tokens, low: -4, high: 1 } }),
      A: { shape: [dim, state], wide: true, low: decays[0], high: decays[1] },
      ...(bc ? { rows: { shape: [batch, length, widthOf(bc, state)] } } : { B: { shape: states }, C: { shape: states } }),
      D: { shape: [dim], wide: true },
      z: { shape: gate ? [batch, length, widthOf(gate, dim)] : tokens },
      deltaBias: { shape: [dim], wide: true },
    },
    drawn,
    build: (g, { u, delta, low, weight, A, B, C, rows, D, z, deltaBias }) => {
      const [rowsB, rowsC] = bc ? columns(g, rows!, bc, state) : []
      return selectiveScan(
        g,
        {
          u: u!,
          delta: delta ?? project(g, low!, width > rank ? widened(g, weight!, width) : weight!),
          A: powersOfE ? g.neg(g.exp(A!)) : A!,
          B: B ?? rowsB!,
          C: C ?? rowsC!,
          D: D!,
          z: gate ? columns(g, z!, gate, dim)[0]! : z!,
          deltaBias: deltaBias!,
          permutation: g.ints(order(length, 7), [length]),
        },
        { segment },
      )
    },
  }
}

/** A weight with zeros behind its columns, in the type of computation; ONNX Runtime has no product of bfloat16 on a processor. */
function widened(g: GraphBuilder, weight: Value, width: number): Value {
  return g.computed(g.gemm(weight, g.diagonal(weight.shape[1]!, width, weight.dtype)))
}

/** A scan of what is convolved, both of columns of the same rows: their gradients are columns of one tensor. */
function mixedCase(
  name: string,
  { batch, length, dim, state }: { batch: number; length: number; dim: number; state: number },
  { segment = 0, gateFirst = false }: { segment?: number; gateFirst?: boolean } = {},
): KernelCase {
  const states = { shape: [batch, length, state] }
  const channels = { shape: [dim], wide: true }
  return {
    operation: `ScanConv and SelectiveScan ${name}`,
    operands: {
      rows: { shape: [batch, length, 2 * dim] },
      kernel: { shape: [dim, 4], wide: true },
      bias: channels,
      delta: { shape: [batch, length, dim], low: -4, high: 1 },
      A: { shape: [dim, state], wide: true, low: -4, high: -0.1 },
      B: states,
      C: states,
      D: channels,
    },
    build: (g, { rows, kernel, bias, delta, A, B, C, D }) => {
      const halves = columns(g, rows!, [0, 0, 0], dim)
      const [x, z] = gateFirst ? halves.toReversed() : halves
      const permutation = g.ints(order(length, 7), [length])
      const u = scanConv(g, x!, permutation, kernel!, bias!, { segment })
      const scanned = { u, delta: delta!, A: A!, B: B!, C: C!, D: D!, z: z!, deltaBias: null, permutation }
      return selectiveScan(g, scanned, { segment })
    },
  }
}

/** The width of rows of which every `count` columns are one tensor and `others` lie before, between and behind these. */
const widthOf = (others: readonly number[], count: number) => others.reduce((sum, more) => sum + more, (others.length - 1) * count)

/** Those tensors. */
function columns(g: GraphBuilder, rows: Value, others: readonly number[], count: number): Value[] {
  const sizes = others.flatMap((more, i) => (i === 0 ? [more] : [count, more]))
  const there = [...sizes.keys()].filter((i) => sizes[i]! > 0)
  const pieces = g.split(
    rows,
    -1,
    there.map((i) => sizes[i]!),
  )
  return pieces.filter((_, i) => there[i]! % 2 === 1)
}

function convCase(
  name: string,
  [batch, length, dim]: [number, number, number],
  { segment = 0, others = null }: { segment?: number; others?: readonly number[] | null } = {},
): KernelCase {
  const x = { shape: [batch, length, others ? widthOf(others, dim) : dim] }
  return {
    operation: `ScanConv ${name}`,
    operands: { x, weight: { shape: [dim, 4], wide: true }, bias: { shape: [dim], wide: true } },
    build: (g, { x, weight, bias }) => {
      const tokens = others ? columns(g, x!, others, dim)[0]! : x!
      return scanConv(g, tokens, g.ints(order(length, 3), [length]), weight!, bias!, { segment })
    },
  }
}

function normCase(
  name: string,
  norm: 'rms' | 'layer',
  [b, l, d]: [number, number, number],
  {
    whole = false,
    gated = false,
    biased = false,
    drawn = null,
  }: { whole?: boolean; gated?: boolean; biased?: boolean; drawn?: readonly number[] | null },
): KernelCase {
  const stream = { shape: [b, l, d] }
  const ofSample = { shape: [b, d] }
  const modulation: Operands = drawn
    ? { rows: { shape: [b, widthOf(drawn, d)] } }
    : { shift: ofSample, scale: ofSample, ...(gated ? { gate: ofSample } : {}) }
  const branch: Operands = { ...(gated ? { y: stream } : {}), ...(biased ? { yBias: { shape: [d], wide: true } } : {}) }
  return {
    operation: `AddNormModulate ${name}`,
    operands: whole
      ? {
          h: stream,
          residual: { ...stream, wide: true },
          weight: { shape: [d], wide: true },
          bias: { shape: [d], wide: true },
          keep: { shape: [b], wide: true, low: 0.5, high: 1.5 },
          ...modulation,
          ...branch,
        }
      : { h: stream, ...modulation, ...branch },
    drawn: drawn !== null,
    build: (g, { h, rows, ...rest }) => {
      const [shift, scale, gate] = drawn ? columns(g, rows!, drawn, d) : []
      const cut = drawn ? { shift: shift!, scale: scale!, gate: gate ?? null } : {}
      return addNormModulate(g, { h: h!, ...rest, ...cut }, { norm, epsilon: 1e-5 }).modulated
    },
  }
}

function gateCase(
  name: string,
  [b, l, d]: [number, number, number],
  { biased = false, drawn = null }: { biased?: boolean; drawn?: readonly number[] | null },
): KernelCase {
  const stream = { shape: [b, l, d] }
  const gate = { shape: [b, drawn ? widthOf(drawn, d) : d] }
  return {
    operation: `GateAdd${name}`,
    operands: { n: stream, gate, y: stream, ...(biased ? { yBias: { shape: [d], wide: true } } : {}) },
    drawn: drawn !== null,
    build: (g, { n, gate, y, yBias }) => gateAdd(g, n!, drawn ? columns(g, gate!, drawn, d)[0]! : gate!, y!, yBias),
  }
}

/** A norm of the running sum alone, as it is computed again from what was kept. */
function normOfSumCase(name: string, norm: 'rms' | 'layer', [b, l, d]: [number, number, number]): KernelCase {
  const channels = { shape: [d], wide: true }
  return {
    operation: `AddNormModulate ${name}`,
    operands: {
      residual: { shape: [b, l, d], wide: true },
      weight: channels,
      bias: channels,
      shift: { shape: [b, d] },
      scale: { shape: [b, d] },
    },
    build: (g, { residual, weight, bias, shift, scale }) => {
      const [tokens, wide] = [
        [residual!.shape, g.compute],
        [residual!.shape, residual!.dtype],
      ] as const
      const statistic = [[b, l], residual!.dtype] as const
      const inputs = [null, residual!, weight!, bias!, shift!, scale!]
      return g.node('AddNormModulate', inputs, { norm, epsilon: { float: 1e-5 } }, [tokens, tokens, wide, statistic, statistic])[0]!
    },
  }
}

function attentionCase(name: string, [b, queries, keys, heads, width]: [number, number, number, number, number]): KernelCase {
  return {
    operation: `Attention ${name}`,
    operands: {
      q: { shape: [b, queries, heads * width] },
      k: { shape: [b, keys, heads * width] },
      v: { shape: [b, keys, heads * width] },
    },
    build: (g, { q, k, v }) => attention(g, q!, k!, v!, { heads, scale: width ** -0.5 }),
  }
}

export const kernelCases: readonly KernelCase[] = [
  convCase('of whole vectors', [2, 77, 64]),
  convCase('of odd width', [2, 50, 13]),
  convCase('by segments', [1, 64, 32], { segment: 16 }),
  convCase('of columns', [2, 77, 64], { others: [0, 64] }),
  convCase('of columns behind others', [1, 20, 64], { others: [64, 0] }),
  convCase('of odd columns', [2, 50, 64], { others: [3, 2] }),
  scanCase('of one span', { batch: 20, length: 40, dim: 1280, state: 16 }),
  scanCase('of many spans', { batch: 2, length: 400, dim: 40, state: 16 }),
  scanCase('of few states', { batch: 2, length: 45, dim: 33, state: 3 }),
  scanCase('by segments', { batch: 2, length: 96, dim: 64, state: 16 }, { segment: 24 }),
  scanCase('of whole warps', { batch: 2, length: 80, dim: 128, state: 16 }),
  scanCase('of whole warps by segments', { batch: 1, length: 96, dim: 256, state: 16 }, { segment: 32 }),
  scanCase('of whole warps and many spans', { batch: 1, length: 1280, dim: 128, state: 16 }),
  scanCase('of whole warps and many spans, decays close together', { batch: 1, length: 3072, dim: 128, state: 16 }, { decays: [-4, -1] }),
  scanCase('of whole warps and uneven spans', { batch: 1, length: 1552, dim: 128, state: 16 }),
  scanCase(
    'of whole warps and many spans, decays far apart, by segments',
    { batch: 1, length: 1280, dim: 128, state: 16 },
    { decays: [-0.7, 6], powersOfE: true, segment: 320 },
  ),
  scanCase('of whole warps and many spans, by segments', { batch: 2, length: 416, dim: 128, state: 16 }, { segment: 144 }),
  scanCase('of columns', { batch: 2, length: 80, dim: 128, state: 16 }, { bc: [48, 0, 0] }),
  scanCase('of columns apart', { batch: 1, length: 40, dim: 40, state: 16 }, { bc: [8, 16, 24] }),
  scanCase('of odd columns', { batch: 2, length: 80, dim: 128, state: 16 }, { bc: [5, 2, 4] }),
  scanCase('of odd columns and few states', { batch: 2, length: 45, dim: 33, state: 3 }, { bc: [0, 1, 2] }),
  scanCase('gated by columns', { batch: 2, length: 80, dim: 128, state: 16 }, { bc: [48, 0, 0], gate: [128, 0] }),
  scanCase('gated by columns, of one span', { batch: 20, length: 40, dim: 1280, state: 16 }, { gate: [1280, 0] }),
  scanCase('gated by columns of uneven width', { batch: 2, length: 80, dim: 128, state: 16 }, { gate: [8, 16] }),
  scanCase('that makes its steps', { batch: 1, length: 208, dim: 128, state: 16 }, { rank: 48, width: 80, gate: [128, 0] }),
  scanCase(
    'that makes steps of as many columns as there are',
    { batch: 1, length: 208, dim: 128, state: 16 },
    { rank: 80, gate: [128, 0] },
  ),
  scanCase('that makes its steps, of one span', { batch: 20, length: 40, dim: 1280, state: 16 }, { rank: 16, gate: [1280, 0] }),
  scanCase('that makes steps of odd rank', { batch: 1, length: 208, dim: 128, state: 16 }, { rank: 11, gate: [128, 0] }),
  scanCase('that makes steps of odd rank, of few states', { batch: 2, length: 45, dim: 33, state: 3 }, { rank: 3, gate: [33, 1] }),
  scanCase('that is given its steps', { batch: 2, length: 80, dim: 128, state: 16 }, { rank: 48, width: 80, drawn: false }),
  scanCase('that is given steps of uneven sizes', { batch: 2, length: 45, dim: 160, state: 16 }, { rank: 20, width: 24, drawn: false }),
  scanCase('that is given steps of as many columns as there are', { batch: 1, length: 72, dim: 96, state: 16 }, { rank: 80, drawn: false }),
  scanCase('that is given steps of high rank', { batch: 1, length: 72, dim: 64, state: 3 }, { rank: 192, drawn: false }),
  scanCase('gated by odd columns', { batch: 2, length: 45, dim: 33, state: 3 }, { gate: [33, 1] }),
  mixedCase('of halves of the same rows', { batch: 2, length: 80, dim: 128, state: 16 }),
  mixedCase(
    'of halves of the same rows, by segments, the gate first',
    { batch: 2, length: 416, dim: 128, state: 16 },
    { segment: 144, gateFirst: true },
  ),
  mixedCase('of halves of rows of odd width', { batch: 2, length: 45, dim: 33, state: 3 }),
  mixedCase('of halves of rows of odd width, the gate first', { batch: 2, length: 45, dim: 33, state: 16 }, { gateFirst: true }),
  normCase('rms, all of it', 'rms', [3, 70, 768], { whole: true }),
  normCase('layer, all of it', 'layer', [3, 70, 96], { whole: true }),
  normCase('layer, modulated only', 'layer', [2, 9, 384], {}),
  normCase('of odd width', 'layer', [2, 9, 27], { whole: true }),
  normCase('rms, gated', 'rms', [3, 70, 768], { whole: true, gated: true }),
  normCase('layer, gated and modulated only', 'layer', [2, 9, 1024], { gated: true }),
  normCase('of odd width, gated', 'layer', [2, 9, 27], { whole: true, gated: true }),
  normCase('rms, gated with a bias', 'rms', [3, 70, 768], { whole: true, gated: true, biased: true }),
  normCase('of odd width, gated with a bias', 'layer', [2, 9, 27], { gated: true, biased: true }),
  normCase('rms, modulated and gated by columns', 'rms', [3, 70, 768], { whole: true, gated: true, drawn: [768, 0, 768, 0] }),
  normCase('layer, modulated by columns', 'layer', [2, 9, 384], { drawn: [0, 0, 384] }),
  normCase('modulated and gated by odd columns', 'rms', [3, 70, 768], { whole: true, gated: true, drawn: [3, 0, 5, 2] }),
  normCase('modulated by columns of odd width', 'layer', [2, 9, 27], { gated: true, drawn: [0, 27, 0, 27] }),
  gateCase('', [3, 70, 768], {}),
  gateCase(' by columns', [3, 70, 768], { drawn: [768, 768] }),
  gateCase(' by odd columns', [2, 9, 64], { biased: true, drawn: [3, 2] }),
  gateCase(' with a bias', [3, 70, 768], { biased: true }),
  gateCase(' of odd width with a bias', [2, 9, 27], { biased: true }),
  normOfSumCase('rms, of the sum alone', 'rms', [3, 70, 768]),
  normOfSumCase('of odd width, of the sum alone', 'layer', [2, 9, 27]),
  attentionCase('on itself', [2, 65, 65, 3, 32]),
  attentionCase('across, 77 keys', [2, 150, 77, 2, 64]),
  attentionCase('of 48 channels a head', [2, 20, 16, 2, 48]),
  attentionCase('of 128 channels a head', [1, 40, 33, 2, 128]),
]

/** Sequences that even a large GPU cuts into spans of more than 128 positions: seven million numbers a tensor, and half a minute each. */
export const longKernelCases: readonly KernelCase[] = [
  scanCase('of long spans', { batch: 1, length: 4608, dim: 1536, state: 16 }, { decays: [-4, -0.4] }),
  scanCase(
    'of long spans, decays far apart, by segments',
    { batch: 1, length: 4608, dim: 1536, state: 16 },
    { decays: [-0.7, 6], powersOfE: true, segment: 1536 },
  ),
]
