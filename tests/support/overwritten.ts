import { gradientRules } from '#engine/autodiff/rules.ts'
import { addNormModulate, gateAdd, selectiveScan } from '#engine/graph/fused.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { sizeOf } from '#engine/graph/shape.ts'
import { wideOf, type DType, type Node, type Shape, type Value } from '#engine/graph/value.ts'
import { planMemory } from '#engine/lowering/memory-plan.ts'
import { overwritable } from '#engine/lowering/native-ops.ts'
import { Buffers } from '#engine/runtime/buffers.ts'
import { encode } from '#engine/runtime/elements.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'
import { Program } from '#engine/runtime/program.ts'
import { numbers } from './differences.ts'

/** An operation whose gradient may be written over what it is made of. */
export interface GradedCase {
  name: string
  chunk?: number
  /** The operation, or its gradient, on operands that are made in the graph: those of `wide` have the type of sums. */
  build: (
    operand: (name: string, shape: Shape, options?: { wide?: boolean; low?: number; high?: number }) => Value,
    g: GraphBuilder,
  ) => Node
}

type Operand = Parameters<GradedCase['build']>[0]

function scan(name: string, [b, l, e, n]: [number, number, number, number], { chunk = 16, segment = 0 } = {}): GradedCase {
  const tokens = [b, l, e]
  return {
    name: `SelectiveScan ${name}`,
    chunk,
    build: (operand, g) =>
      selectiveScan(
        g,
        {
          u: operand('u', tokens),
          delta: operand('delta', tokens, { low: -4, high: 1 }),
          A: operand('A', [e, n], { wide: true, low: -4, high: -0.1 }),
          B: operand('B', [b, l, n]),
          C: operand('C', [b, l, n]),
          D: operand('D', [e], { wide: true }),
          z: operand('z', tokens),
          deltaBias: operand('deltaBias', [e], { wide: true }),
          permutation: g.ints(
            Array.from({ length: l }, (_, i) => (i * 7) % l),
            [l],
          ),
        },
        { segment },
      ).node!,
  }
}

/** The gradient of a convolution whose tokens lie behind `before` columns and in front of `behind`, put into rows that are there. */
function convInto(name: string, [b, l, e]: [number, number, number], [before, behind]: readonly [number, number]): GradedCase {
  return {
    name: `ScanConvGrad ${name}`,
    build: (operand, g) => {
      const rows = [b, l, before + e + behind]
      const wide = { wide: true }
      const order = Array.from({ length: l }, (_, i) => (i * 3) % l)
      const [x, weight, bias] = [operand('x', rows), operand('weight', [e, 4], wide), operand('bias', [e], wide)]
      const inputs = [x, g.ints(order, [l]), weight, bias, operand('dy', [b, l, e]), null, operand('into', rows)]
      const types = [x, weight, bias].map(({ shape, dtype }) => [shape, dtype] as const)
      return g.node('ScanConvGrad', inputs, { segment: 0, xColumn: before }, types)[0]!.node!
    },
  }
}

function norm(name: string, kind: 'rms' | 'layer', [b, l, d]: [number, number, number], { gated = false } = {}): GradedCase {
  const [stream, sample] = [
    [b, l, d],
    [b, d],
  ]
  return {
    name: `AddNormModulate ${name}`,
    build: (operand: Operand, g) => {
      const wide = { wide: true }
      const sum = { h: operand('h', stream), residual: operand('residual', stream, wide), keep: operand('keep', [b], wide) }
      const weights = { weight: operand('weight', [d], wide), shift: operand('shift', sample), scale: operand('scale', sample) }
      const gate = gated ? { gate: operand('gate', sample), y: operand('y', stream), yBias: operand('yBias', [d], wide) } : {}
      return addNormModulate(g, { ...sum, ...weights, ...gate }, { norm: kind, epsilon: 1e-5 }).modulated.node!
    },
  }
}

function gate(name: string, [b, l, d]: [number, number, number]): GradedCase {
  return {
    name: `GateAdd ${name}`,
    build: (operand, g) =>
      gateAdd(g, operand('n', [b, l, d]), operand('gate', [b, d]), operand('y', [b, l, d]), operand('yBias', [d], { wide: true })).node!,
  }
}

export const gradedCases: readonly GradedCase[] = [
  scan('of whole warps, in spans', [1, 96, 128, 16]),
  scan('of one span', [40, 32, 128, 16]),
  scan('of odd width', [2, 48, 33, 16]),
  scan('by segments', [2, 96, 64, 16], { segment: 24 }),
  scan('of few states', [2, 36, 64, 3]),
  scan('of fewer states than a chunk has positions, in as many rows as tokens', [1, 60, 40, 15]),
  scan('with borders farther apart than chunks', [1, 128, 40, 16], { chunk: 32 }),
  scan('with one border', [1, 60, 40, 16], { chunk: 60 }),
  convInto('in the first half of rows', [2, 77, 64], [0, 64]),
  convInto('in the last half of rows', [2, 77, 64], [64, 0]),
  convInto('in odd columns', [4, 50, 45], [3, 2]),
  norm('rms', 'rms', [2, 70, 768]),
  norm('layer, of odd width', 'layer', [2, 9, 27]),
  norm('gated', 'rms', [2, 70, 96], { gated: true }),
  norm('gated, of odd width', 'layer', [2, 9, 27], { gated: true }),
  gate('of whole vectors', [2, 70, 768]),
  gate('of odd width', [2, 9, 27]),
]

export interface Gradients {
  /** By name, as they lie in memory. */
  bytes: ReadonlyMap<string, Uint8Array>
  /** What the run took between inputs and outputs, and what was foretold. */
  takenBytes: number
  foretoldBytes: number
}

/** The names of results whose bits are not those of the other run. */
export function differing(some: Gradients, others: Gradients): string[] {
  return [...some.bytes].flatMap(([name, bytes]) => (Buffer.compare(bytes, others.bytes.get(name)!) === 0 ? [] : [name]))
}

/**
 * The gradients of a case, made of operands that nothing else reads; or, `apart`, of operands that something reads afterwards, so that none may be
 * written over.
 */
export async function gradientsOf(
  runtime: NativeRuntime,
  { chunk = 16, build }: GradedCase,
  dtype: DType,
  apart: boolean,
): Promise<Gradients> {
  const outside = dtype === 'f64' ? 'f64' : 'f32'
  const g = new GraphBuilder(outside, { compute: dtype, scanChunk: chunk })
  const feeds = new Map<string, Float64Array>()
  // ONNX Runtime overwrites nothing that is handed in or out: everything is moved on the way, in one type with the other sign.
  const moved = (x: Value, to: DType) => (x.dtype === to ? g.neg(x) : g.cast(x, to))
  const operand: Operand = (name, shape, { wide = false, ...range } = {}) => {
    const type = wide ? wideOf(dtype) : dtype
    const drawn = numbers(sizeOf(shape), { seed: feeds.size + 1, ...range })
    feeds.set(
      name,
      drawn.map((x) => (type === outside ? -x : x)),
    )
    return moved(g.input(name, shape), type)
  }
  const node = build(operand, g)
  const graded = node.op.endsWith('Grad') ? node.outputs : takeGradients(g, node, operand, dtype)
  graded.forEach((gradient, i) => {
    g.output(`gradient ${i}`, moved(gradient, outside))
  })
  if (apart) {
    const [first] = graded as readonly [Value, ...Value[]]
    const read = new Set(first.node!.outputs.flatMap((_, i) => overwritable(first.node!, i)))
    for (const value of read) {
      const later = g.after(value, [first])
      g.output(`later ${value.id}`, moved(later, outside))
    }
  }

  using program = await Program.compile(runtime, g, 'native', { memoryPattern: false })
  using inputs = new Buffers(runtime, program.reads)
  using outputs = new Buffers(runtime, program.writes)
  for (const [name, { dtype: type }] of program.reads) inputs.write(name, encode(feeds.get(name)!, type))
  await program.bind(inputs.tensors, outputs.tensors).run()
  const names = [...program.writes.keys()].filter((name) => !name.startsWith('later'))
  return {
    bytes: new Map(names.map((name) => [name, outputs.get(name).read()])),
    takenBytes: program.memory().peakBytes,
    foretoldBytes: planMemory(g, 'doubling').peakBytes,
  }
}

/** What an operation's own gradient gives, of operands for what arrives at its results. */
function takeGradients(g: GraphBuilder, node: Node, operand: Operand, dtype: DType): readonly Value[] {
  if (node.outputs.length > 1) g.output('result', node.outputs[0]!) // it runs all the same, for its states or statistics
  const arriving = node.outputs.map((output, i) =>
    isStatistic(node, i) ? null : operand(`dy${i}`, output.shape, { wide: output.dtype !== dtype }),
  )
  const gradients = gradientRules[node.op]!(g, node, arriving)
  return gradients.filter((gradient) => gradient?.node?.op === `${node.op}Grad`) as Value[]
}

/** Outputs that have no gradient: states at borders, means and deviations. */
const isStatistic = ({ op }: Node, output: number): boolean => (op === 'AddNormModulate' ? output === 3 || output === 4 : output > 0)
