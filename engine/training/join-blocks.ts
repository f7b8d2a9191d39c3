import { mostPieces, type GraphBuilder } from '../graph/graph-builder.ts'
import { show } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'
import { beforeCast, readersOf } from '../lowering/readers.ts'
import { endsEvenly } from '../optim/trained.ts'

/** What is computed in a block and can be computed for others with it. */
interface Joinable {
  /** Those that can be joined have the same. */
  kind: string
  /** What falls away. */
  nodes: readonly Node[]
  /** What comes of it: pieces of one size. */
  pieces: readonly Value[]
  /** The weights that it is computed of, as they are read. */
  weights: readonly Value[]
  /** Its pieces behind one another along `axis`, of the weights of several one under another. */
  compute: (weights: Value[]) => Value
  axis: number
}

/**
 * Before gradients are taken: what all blocks compute of one vector, their modulations, and of their weights alone, decays of scans and weights that
 * get more columns, is computed for many blocks at once, in front of the first. It is little, and takes as long to start as to compute; so do its gradients. In a
 * training step weights lie one under another without a copy, see `handIn`.
 */
export function joinBlocks(g: GraphBuilder): void {
  const start = g.nodes.length
  const place = new Map(g.nodes.map((node, i) => [node, i]))
  const first = g.borders[0]?.at ?? 0
  const readers = readersOf(g.nodes)
  const soleReader = (value: Value, op: string) => {
    const [reader, ...others] = readers.get(value) ?? []
    return reader?.op === op && others.length === 0 ? reader : null
  }
  const parameters = new Set(g.parameters.values())
  const isWeight = (value: Value) => {
    const parameter = beforeCast(value)
    return parameters.has(parameter) && endsEvenly(parameter) && readers.get(parameter)!.length === 1 && readers.get(value)!.length === 1
  }

  const modulation = (node: Node): Joinable | null => {
    const [x, weight, bias] = node.inputs as [Value, Value, Value?]
    const split = soleReader(node.outputs[0]!, 'Split')
    const [piece] = split?.outputs ?? []
    if (node.attributes.transB !== 1 || !bias || !split || !piece || split.attributes.axis !== 1) return null
    const source = beforeCast(x)
    const isEarly = !source.node || place.get(source.node)! < first
    if (!isEarly || !isWeight(weight) || !isWeight(bias) || split.outputs.some(({ shape }) => shape[1] !== piece.shape[1])) return null
    return {
      kind: `${source.id} ${show(weight.shape)} ${split.outputs.length}`,
      nodes: [node, split],
      pieces: split.outputs,
      weights: [weight, bias],
      compute: ([weights, biases]) => g.gemm(g.cast(source, x.dtype), weights!, { transB: true, bias: biases! }),
      axis: 1,
    }
  }
  const decay = (node: Node): Joinable | null => {
    const [log] = node.inputs as [Value]
    const neg = soleReader(node.outputs[0]!, 'Neg')
    if (!neg || !isWeight(log)) return null
    return {
      kind: show(log.shape),
      nodes: [node, neg],
      pieces: neg.outputs,
      weights: [log],
      compute: ([logs]) => g.neg(g.exp(logs!)),
      axis: 0,
    }
  }

  const widening = (node: Node): Joinable | null => {
    const [weight, diagonal, bias] = node.inputs as [Value, Value, Value?]
    const constant = beforeCast(diagonal)
    if (node.attributes.transA === 1 || node.attributes.transB === 1 || bias || !isWeight(weight) || !g.constants.has(constant)) return null
    return {
      kind: `${diagonal.id} ${show(weight.shape)}`,
      nodes: [node],
      pieces: node.outputs,
      weights: [weight],
      compute: ([weights]) => g.gemm(weights!, g.cast(constant, diagonal.dtype)),
      axis: 0,
    }
  }

  const kinds: Readonly<Record<string, (node: Node) => Joinable | null>> = {
    Gemm: (node) => modulation(node) ?? widening(node),
    Exp: decay,
  }
  const found = g.nodes.flatMap((node) => kinds[node.op]?.(node) ?? [])
  const gone = new Set<Node>()
  for (const alike of Map.groupBy(found, ({ kind }) => kind).values()) {
    for (const group of evenly(alike)) {
      const [{ compute, axis, pieces, weights }] = group as [Joinable]
      for (const one of group) {
        const casts = one.weights.flatMap(({ node }) => node ?? [])
        for (const node of [...one.nodes, ...casts]) gone.add(node)
        g.nodes.push(...casts)
      }
      const whole = compute(
        weights.map((_, i) =>
          g.concat(
            group.map((one) => one.weights[i]!),
            0,
          ),
        ),
      )
      const outputs = group.flatMap((one) => one.pieces)
      g.nodes.push({ op: 'Split', inputs: [whole], attributes: { axis, sizes: outputs.map(() => pieces[0]!.shape[axis]!) }, outputs })
    }
  }
  g.hoist(start, gone)
}

/** As few groups as there can be that are cut in one kernel each, none much smaller than another; what would be alone is left out. */
function evenly(alike: readonly Joinable[]): (readonly Joinable[])[] {
  const groups = Math.ceil(alike.length / Math.max(1, Math.floor(mostPieces / alike[0]!.pieces.length)))
  const begin = (i: number) => Math.floor((i * alike.length) / groups)
  return Array.from({ length: groups }, (_, i) => alike.slice(begin(i), begin(i + 1))).filter(({ length }) => length > 1)
}
