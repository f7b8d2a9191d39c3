import type { GraphBuilder } from './graph-builder.ts'
import { sameShape, ShapeError, show } from './shape.ts'
import { wideOf, type Shape, type Value } from './value.ts'

/*
 * Builder functions of the fused operations, ONNX domain `zigma`. Tokens are channel-last: [B, L, E].
 * A permutation is a value of int32 [L]: position j of the scan reads token permutation[j].
 * Where tokens have 16 bits, small weights, statistics, states and the running residual have 32.
 */

export interface ScanOptions {
  /** The state starts anew every `segment` positions; 0 means once per sequence. */
  segment?: number
}

/** Gather by scan order + causal depthwise convolution + bias + SiLU. x [B,L,E] in token order -> [B,L,E] in scan order. weight [E,W], bias [E]. */
export function scanConv(
  g: GraphBuilder,
  x: Value,
  permutation: Value,
  weight: Value,
  bias: Value,
  { segment = 0 }: ScanOptions = {},
): Value {
  const [, l, e] = rank3('scanConv', x)
  expectShape('scanConv', 'permutation', permutation, [l])
  expectShape('scanConv', 'weight', weight, [e, weight.shape[1] ?? 0])
  expectShape('scanConv', 'bias', bias, [e])
  return g.node('ScanConv', [x, permutation, weight, bias], { segment }, [[x.shape, x.dtype]])[0]!
}

export interface SelectiveScanInputs {
  /** [B,L,E] scan order */ u: Value
  /** [B,L,E] scan order, before bias and softplus */ delta: Value
  /** [E,N], negative */ A: Value
  /** [B,L,N] scan order */ B: Value
  /** [B,L,N] scan order */ C: Value
  /** [E] */ D: Value | null
  /** [B,L,E] token order; the result is gated by silu(z) */ z: Value | null
  /** [E] */ deltaBias: Value | null
  /** int32 [L]; null is the identity */ permutation: Value | null
}

/** The selective scan of Mamba (spec 1.6), scattered back to token order: [B,L,E]. */
export function selectiveScan(
  g: GraphBuilder,
  { u, delta, A, B, C, D, z, deltaBias, permutation }: SelectiveScanInputs,
  { segment = 0, deltaSoftplus = true }: ScanOptions & { deltaSoftplus?: boolean } = {},
): Value {
  const [b, l, e] = rank3('selectiveScan', u)
  const n = A.shape[1] ?? 0
  expectShape('selectiveScan', 'delta', delta, u.shape)
  expectShape('selectiveScan', 'A', A, [e, n])
  expectShape('selectiveScan', 'B', B, [b, l, n])
  expectShape('selectiveScan', 'C', C, [b, l, n])
  if (D) expectShape('selectiveScan', 'D', D, [e])
  if (z) expectShape('selectiveScan', 'z', z, u.shape)
  if (deltaBias) expectShape('selectiveScan', 'deltaBias', deltaBias, [e])
  if (permutation) expectShape('selectiveScan', 'permutation', permutation, [l])
  const attributes = { segment, deltaSoftplus: Number(deltaSoftplus), chunk: g.scanChunk }
  return g.node('SelectiveScan', [u, delta, A, B, C, D, z, deltaBias, permutation], attributes, [
    [u.shape, u.dtype],
    [[b, Math.ceil(l / g.scanChunk) * n, e], u.dtype],
  ])[0]!
}

export interface AddNormModulateInputs {
  /** [B,L,D] */ h: Value
  /** [B,L,D] */ residual?: Value | null
  /** [D] */ weight?: Value | null
  /** [D] */ bias?: Value | null
  /** [B,D] */ shift?: Value | null
  /** [B,D] */ scale?: Value | null
  /** [B] factor on h, for stochastic depth */ keep?: Value | null
  /** [B,D], with y */ gate?: Value | null
  /** [B,L,D], with gate */ y?: Value | null
  /** [D], with y */ yBias?: Value | null
}

/**
 * gated = h + gate * (y + yBias); r = keep * gated + residual; normalized = norm(r) * weight + bias; modulated = normalized * (1 + scale) + shift (spec 1.5).
 * All [B,L,D]; without a gate `gated` is h.
 */
export function addNormModulate(
  g: GraphBuilder,
  {
    h,
    residual = null,
    weight = null,
    bias = null,
    shift = null,
    scale = null,
    keep = null,
    gate = null,
    y = null,
    yBias = null,
  }: AddNormModulateInputs,
  { norm, epsilon }: { norm: 'rms' | 'layer'; epsilon: number },
): { modulated: Value; normalized: Value; residual: Value; gated: Value } {
  const [b, l, d] = rank3('addNormModulate', h)
  if (residual) expectShape('addNormModulate', 'residual', residual, h.shape)
  for (const [name, v] of [
    ['weight', weight],
    ['bias', bias],
    ['yBias', yBias],
  ] as const)
    if (v) expectShape('addNormModulate', name, v, [d])
  for (const [name, v] of [
    ['shift', shift],
    ['scale', scale],
    ['gate', gate],
  ] as const)
    if (v) expectShape('addNormModulate', name, v, [b, d])
  if (!gate !== !y) throw new ShapeError('addNormModulate: gate and y come together. Give both or neither.')
  if (yBias && !y) throw new ShapeError('addNormModulate: yBias is added to y. Give y, or leave it out.')
  if (y) expectShape('addNormModulate', 'y', y, h.shape)
  if (keep) expectShape('addNormModulate', 'keep', keep, [b])
  const [modulated, normalized, newResidual, , , gated] = g.node(
    'AddNormModulate',
    [h, residual, weight, bias, shift, scale, keep, ...(gate ? [gate, y] : []), ...(yBias ? [yBias] : [])],
    { norm, epsilon: { float: epsilon } },
    [
      [h.shape, h.dtype],
      [h.shape, h.dtype],
      [h.shape, wideOf(h.dtype)],
      [[b, l], wideOf(h.dtype)],
      [[b, l], wideOf(h.dtype)],
      ...(gate ? [[h.shape, h.dtype] as const] : []),
    ],
  )
  return { modulated: modulated!, normalized: normalized!, residual: newResidual!, gated: gated ?? h }
}

/**
 * n + gate * (y + yBias), gate [B,D] per sample, yBias [D] (spec 1.5). The bias of the product that makes y is better given here, where y is read anyway:
 * ONNX Runtime's product on a GPU would first write it to the whole result.
 */
export function gateAdd(g: GraphBuilder, n: Value, gate: Value, y: Value, yBias: Value | null = null): Value {
  const [b, , d] = rank3('gateAdd', n)
  expectShape('gateAdd', 'gate', gate, [b, d])
  expectShape('gateAdd', 'y', y, n.shape)
  if (yBias) expectShape('gateAdd', 'yBias', yBias, [d])
  return g.node('GateAdd', yBias ? [n, gate, y, yBias] : [n, gate, y], {}, [[n.shape, n.dtype]])[0]!
}

/** softmax(q kᵀ · scale) v per head. q [B,Lq,H·d], k and v [B,Lk,H·d] -> [B,Lq,H·d]. */
export function attention(g: GraphBuilder, q: Value, k: Value, v: Value, { heads, scale }: { heads: number; scale: number }): Value {
  const [b, lq, inner] = rank3('attention', q)
  const [, lk] = rank3('attention', k)
  expectShape('attention', 'k', k, [b, lk, inner])
  expectShape('attention', 'v', v, [b, lk, inner])
  if (inner % heads !== 0) throw new ShapeError(`attention: width ${inner} does not divide into ${heads} heads.`)
  return g.node('Attention', [q, k, v], { heads, scale: { float: scale } }, [
    [q.shape, q.dtype],
    [[b, heads, lq], wideOf(q.dtype)],
  ])[0]!
}

/**
 * Counter-based random numbers (Philox 4x32-10): the same bits on every device, whatever the batch.
 * seed and step int64 [1], sample int64 [B] -> [B, ...shape].
 */
export function philox(
  g: GraphBuilder,
  { seed, step, sample }: { seed: Value; step: Value; sample: Value },
  { shape, distribution, stream }: { shape: Shape; distribution: 'uniform' | 'normal'; stream: number },
): Value {
  const [numbers] = g.node('Philox', [seed, step, sample], { shape, distribution, stream }, [[[sample.shape[0] ?? 1, ...shape], 'f32']])
  return g.cast(numbers!, g.float)
}

function rank3(op: string, x: Value): [number, number, number] {
  const [b, l, d] = x.shape
  if (x.shape.length !== 3 || b === undefined || l === undefined || d === undefined)
    throw new ShapeError(`${op}: needs tokens [B, L, D], got ${show(x.shape)}.`)
  return [b, l, d]
}

function expectShape(op: string, name: string, value: Value, shape: Shape): void {
  if (!sameShape(value.shape, shape)) throw new ShapeError(`${op}: ${name} must be ${show(shape)}, got ${show(value.shape)}.`)
}
