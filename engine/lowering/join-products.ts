import { GraphBuilder, mostPieces } from '../graph/graph-builder.ts'
import type { Graph, Node, Value } from '../graph/value.ts'
import { beforeCast, readersOf } from './readers.ts'

/** Up to so many rows a product takes as long as its weights take to be read, and copying pieces of its result costs next to nothing. */
const fewRows = 64

/** A product of few rows with weights that are still: y [rows, out] = x [rows, in] times a weight, plus a bias. */
interface Product {
  node: Node
  /** x, before it was cast. */
  source: Value
  /** How y is read: itself, or the equal pieces that it is only ever cut into. */
  pieces: readonly Value[]
  /** What cuts it. */
  split: Node | null
}

/**
 * Products of the same few rows become one with all their weights side by side, for small products take as long to start as to compute. `still` is
 * what stays the same over many runs: so do the weights that are laid side by side, and everything that is still comes first. The results are cut out
 * of the one product, all first pieces, then all second ones: two levels of cuts, of at most 32 equal pieces each.
 */
export function joinProducts(g: Graph, still: ReadonlySet<Value>): Node[] {
  const readers = readersOf(g.nodes)
  const results = new Set(g.outputs.values())
  const soleReader = (value: Value) => (results.has(value) || readers.get(value)?.length !== 1 ? null : readers.get(value)![0]!)
  const products = g.nodes.flatMap((node) => productOf(node, still, soleReader) ?? [])

  const instead = new Map<Node, readonly Node[]>()
  for (const alike of Map.groupBy(products, ({ source }) => source).values())
    for (const joinable of Map.groupBy(alike, kindOf).values())
      for (const group of evenly(joinable)) {
        if (group.length === 1) continue
        for (const { node, split } of group) for (const gone of split ? [node, split] : [node]) instead.set(gone, [])
        instead.set(group[0]!.node, joined(g, group))
      }
  const isStill = ({ outputs }: Node) => outputs.every((value) => still.has(value))
  return [...g.nodes.filter(isStill), ...g.nodes.filter((node) => !isStill(node)).flatMap((node) => instead.get(node) ?? [node])]
}

function productOf(node: Node, still: ReadonlySet<Value>, soleReader: (value: Value) => Node | null): Product | null {
  if (node.op !== 'Gemm' || node.attributes.transA === 1) return null
  const [x, weight, bias] = node.inputs as [Value, Value, Value?]
  if (x.shape[0]! > fewRows || still.has(x) || !still.has(weight)) return null
  if (bias && (bias.shape.length !== 1 || !still.has(bias))) return null
  const y = node.outputs[0]!
  const reader = soleReader(y)
  const split = reader && isEqualSplit(reader) ? reader : null
  return { node, source: beforeCast(x), pieces: split?.outputs ?? [y], split }
}

function isEqualSplit({ op, attributes }: Node): boolean {
  if (op !== 'Split' || attributes.axis !== 1) return false
  const sizes = attributes.sizes as readonly number[]
  return sizes.length <= mostPieces && sizes.every((size) => size === sizes[0])
}

function kindOf({ node: { inputs, attributes }, pieces }: Product): string {
  const [x, weight, bias] = inputs as [Value, Value, Value?]
  return JSON.stringify([x.dtype, weight.shape, attributes, bias !== undefined, pieces.length])
}

/** As few groups as there can be of at most `mostPieces`, none much smaller than another. */
function evenly(products: readonly Product[]): (readonly Product[])[] {
  const groups = Math.ceil(products.length / mostPieces)
  const start = (i: number) => Math.floor((i * products.length) / groups)
  return Array.from({ length: groups }, (_, i) => products.slice(start(i), start(i + 1)))
}

/** The nodes that give the pieces of all products. */
function joined({ float, compute }: Graph, products: readonly Product[]): Node[] {
  const { node, pieces } = products[0]!
  const transB = node.attributes.transB === 1
  const size = pieces[0]!.shape[1]!
  const g = new GraphBuilder(float, { compute })
  const sideBySide = (values: readonly Value[], axis: number) => {
    const cut = values.map((value) =>
      pieces.length === 1
        ? [value]
        : g.split(
            value,
            axis,
            pieces.map(() => size),
          ),
    )
    return g.concat(
      pieces.flatMap((_, i) => cut.map((parts) => parts[i]!)),
      axis,
    )
  }
  const operands = (place: number) => products.map((product) => product.node.inputs[place]!)
  const weight = sideBySide(operands(1), transB ? 0 : 1)
  const bias = node.inputs[2] ? sideBySide(operands(2), 0) : undefined
  const all = g.gemm(node.inputs[0]!, weight, { transB, ...(bias ? { bias } : {}) })
  const perPiece =
    pieces.length === 1
      ? [all]
      : g.split(
          all,
          1,
          pieces.map(() => size * products.length),
        )
  const cuts = perPiece.map((whole, i) => ({
    op: 'Split',
    inputs: [whole],
    attributes: { axis: 1, sizes: products.map(() => size) },
    outputs: products.map((product) => product.pieces[i]!),
  }))
  return [...g.nodes, ...cuts]
}
