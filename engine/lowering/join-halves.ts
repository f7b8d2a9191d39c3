import { GraphBuilder } from '../graph/graph-builder.ts'
import { sameShape } from '../graph/shape.ts'
import type { Graph, Node, Value } from '../graph/value.ts'
import { isReadInPlace } from './read-columns.ts'
import { readersOf } from './readers.ts'

/**
 * Up to so many rows a product in training fills a large GPU badly, and so do those that its gradients are: one takes less time than
 * two of half its size.
 * Of more rows two products take as long as one, and apart they save memory, for the gradient of z is then written over z.
 */
const fewRows = 2048

/**
 * Products of the same rows with the pieces of one weight are one product with the whole of it, where every reader of their results can read them as
 * columns of that product's (see `readColumns`): so it is in drawing. Where a gradient reads them too they stay what they were when it was taken. The
 * nodes in their order. Values of `fixed` are read from outside.
 */
export function joinHalves(nodes: readonly Node[], g: Graph, fixed: ReadonlySet<Value>): Node[] {
  const instead = joinedHalves(nodes, g, fixed, () => true)
  return nodes.flatMap((node) => instead.get(node) ?? [node])
}

/**
 * The same before gradients are taken, where rows are few: then the gradients of the joined product are one product each. Only of what is read once:
 * several gradients would be added up before they could be columns of one tensor.
 */
export function joinFewRows(g: GraphBuilder): void {
  const readers = readersOf(g.nodes)
  const isRead = (value: Value) => readers.get(value)?.length === 1
  const fixed = new Set([...g.outputs.values(), ...g.inputs.values(), ...g.parameters.values()])
  g.replace(joinedHalves(g.nodes, g, fixed, (rows, results) => rows.shape[0]! <= fewRows && results.every(isRead)))
}

/** What stands in the place of nodes; `isWanted` is asked about the rows of products and the results that are cut out of the joined one. */
function joinedHalves(
  nodes: readonly Node[],
  g: Graph,
  fixed: ReadonlySet<Value>,
  isWanted: (rows: Value, results: readonly Value[]) => boolean,
): Map<Node, readonly Node[]> {
  const readers = readersOf(nodes)
  const instead = new Map<Node, readonly Node[]>()
  for (const node of nodes) if (node.op === 'Split' && node.attributes.axis === 0) join(node)
  return instead

  function soleReader(value: Value, op: string): Node | null {
    const [reader, ...others] = readers.get(value) ?? []
    return reader?.op === op && others.length === 0 && !fixed.has(value) ? reader : null
  }

  function join(split: Node): void {
    const weight = split.inputs[0]!
    const parts = split.outputs.flatMap((piece) => {
      const product = soleReader(piece, 'Gemm')
      const shown = product && soleReader(product.outputs[0]!, 'Reshape')
      return product?.inputs[1] === piece && shown ? [{ product, shown, result: shown.outputs[0]! }] : []
    })
    const [first] = parts
    if (!first || parts.length < split.outputs.length || weight.dtype === 'f64') return
    const rows = first.product.inputs[0]!
    const isAlike = ({ product: { inputs, attributes }, result }: (typeof parts)[number]) =>
      isSame(inputs[0]!, rows) && inputs.length === 2 && attributes.transA === 0 && attributes.transB === 1 && result.shape.length === 3
    const isInPlace = ({ result }: (typeof parts)[number]) =>
      !fixed.has(result) && (readers.get(result) ?? []).every((reader) => !reader.op.endsWith('Grad') && isReadInPlace(reader, result))
    if (!parts.every((part) => isAlike(part) && isInPlace(part))) return
    const results = parts.map(({ result }) => result)
    if (!isWanted(rows, results)) return

    const joined = new GraphBuilder(g.float, { compute: g.compute })
    const product = joined.gemm(rows, weight, { transB: true })
    const [b, l] = first.result.shape as [number, number]
    const whole = joined.reshape(product, [b, l, weight.shape[0]!])
    const sizes = results.map(({ shape }) => shape[2]!)
    const cut = { op: 'Split', inputs: [whole], attributes: { axis: 2, sizes }, outputs: results }
    for (const { product, shown } of parts) for (const gone of [split, product, shown]) instead.set(gone, [])
    instead.set(first.product, [...joined.nodes, cut])
  }
}

/** Whether two tensors hold the same, as far as it shows: equal views of one, in one type. */
function isSame(a: Value, b: Value): boolean {
  if (a === b) return true
  const [x, y] = [a.node, b.node]
  const isView = x?.op === y?.op && (x?.op === 'Reshape' || x?.op === 'Cast')
  return isView && a.dtype === b.dtype && sameShape(a.shape, b.shape) && isSame(x.inputs[0]!, y!.inputs[0]!)
}
