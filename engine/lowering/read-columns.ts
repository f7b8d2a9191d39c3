import { GraphBuilder } from '../graph/graph-builder.ts'
import { sameShape } from '../graph/shape.ts'
import type { Graph, Node, Value } from '../graph/value.ts'
import { readersOf } from './readers.ts'

/** Where B, C and z are among the inputs of a scan and of its gradient, and where their gradients are among its outputs. */
const [B, C, Z] = [3, 4, 6] as const
/** Where a convolution's gradient has the rows that its first result is put into. */
const INTO = 6
/** What operations can read where it lies as columns of wider rows: by place, the attribute that tells where the columns begin. */
const readable: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  ScanConv: { 0: 'xColumn' },
  ScanConvGrad: { 0: 'xColumn' },
  SelectiveScan: { [B]: 'bColumn', [C]: 'cColumn', [Z]: 'zColumn' },
  SelectiveScanGrad: { [B]: 'bColumn', [C]: 'cColumn', [Z]: 'zColumn' },
  AddNormModulate: { 4: 'shiftColumn', 5: 'scaleColumn', 7: 'gateColumn' },
  GateAdd: { 1: 'gateColumn' },
}
/** Operations whose result is their first input under another name. */
const views = new Set(['Reshape', 'After'])

/**
 * Columns that are cut out of rows for scans, norms and gates alone are read where they lie: the cut would copy them. So it is with the modulations in
 * drawing; their gradients want them apart. A scan's gradient then gives the gradient of the whole rows, where it was put together from those of B and C
 * and zeros; and the product that gives the rows another gradient adds it to its own. The nodes in their order, without what falls away. Values of
 * `fixed` are read from outside. In float64 all stays as it was written, to be held against.
 */
export function readColumns(nodes: readonly Node[], g: Graph, fixed: ReadonlySet<Value>): Node[] {
  const readers = readersOf(nodes)
  const place = new Map(nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)))
  const instead = new Map<Node, readonly Node[]>()
  for (const node of nodes) if (node.op === 'Split') readInPlace(node)
  for (const node of nodes) {
    if (node.op !== 'SelectiveScanGrad' || !instead.has(node)) continue
    giveWhole(node)
    giveIntoOne(node)
  }
  return nodes.flatMap((node) => instead.get(node) ?? [node])

  function soleReader(value: Value): Node | null {
    const [reader, ...others] = readers.get(value) ?? []
    return reader && others.length === 0 && !fixed.has(value) ? reader : null
  }

  function readInPlace(split: Node): void {
    const whole = split.inputs[0]!
    if (instead.has(split) || whole.dtype === 'f64' || split.attributes.axis !== whole.shape.length - 1) return
    const { cuts, columns } = cutOut(split)
    const pieces = [...columns.keys()]
    const isCut = (value: Value | null | undefined) => !!value && columns.has(value)
    const isOneWidth = ({ op, inputs }: Node) => !op.startsWith('SelectiveScan') || isCut(inputs[B]) === isCut(inputs[C])
    const isAble = (node: Node) => pieces.every((piece) => isReadInPlace(node, piece)) && isOneWidth(node)
    const able = new Set(pieces.flatMap((piece) => readers.get(piece) ?? []))
    if (able.size === 0 || pieces.some((piece) => fixed.has(piece)) || ![...able].every(isAble)) return
    for (const cut of cuts) instead.set(cut, [])
    for (const node of able) {
      const read = node.inputs.flatMap((input, at) => (isCut(input) ? [[readable[node.op]![at]!, columns.get(input!)!] as const] : []))
      const [sofar = node] = instead.get(node) ?? []
      const inputs = sofar.inputs.map((input) => (isCut(input) ? whole : input))
      instead.set(node, [{ ...sofar, inputs, attributes: { ...sofar.attributes, ...Object.fromEntries(read) } }])
    }
  }

  /** A cut and those that cut its pieces on, and at which column of the whole each last piece begins. */
  function cutOut(split: Node, start = 0): { cuts: Node[]; columns: Map<Value, number> } {
    const cuts = [split]
    const columns = new Map<Value, number>()
    for (const piece of split.outputs) {
      const column = start + startOf(split.outputs, piece)
      const reader = soleReader(piece)
      if (reader?.op === 'Split' && reader.attributes.axis === split.attributes.axis) {
        const further = cutOut(reader, column)
        cuts.push(...further.cuts)
        for (const [last, at] of further.columns) columns.set(last, at)
      } else columns.set(piece, column)
    }
    return { cuts, columns }
  }

  function giveWhole(node: Node): void {
    const [scan] = instead.get(node) as [Node]
    const [dB, dC] = [scan.outputs[B]!, scan.outputs[C]!]
    const concat = soleReader(dB)
    if (concat?.op !== 'Concat' || soleReader(dC) !== concat) return
    const parts = concat.inputs as Value[]
    const rows = concat.outputs[0]!
    const { bColumn, cColumn } = scan.attributes
    const isAsCut = sameShape(rows.shape, scan.inputs[B]!.shape) && startOf(parts, dB) === bColumn && startOf(parts, dC) === cColumn
    if (!isAsCut || !parts.every((part) => part === dB || part === dC || isZero(part))) return
    instead.set(concat, [])
    instead.set(node, [{ ...scan, outputs: [...scan.outputs, rows] }])
    addInProduct(rows, place.get(dB)!)
  }

  /** Where the gradients of z and of what a convolution reads are columns of one tensor, the scan's gradient makes its rows and the convolution's fills them. */
  function giveIntoOne(node: Node): void {
    const [scan] = instead.get(node) as [Node]
    const dz = scan.outputs[Z]!
    const concat = soleReader(dz)
    const parts = concat?.op === 'Concat' ? (concat.inputs as Value[]) : []
    const dx = parts.find((part) => part !== dz)
    const filling = dx && nodes[place.get(dx) ?? -1]
    const [conv] = (filling && instead.get(filling)) ?? []
    if (!concat || !dx || parts.length !== 2 || !conv || conv.op !== 'ScanConvGrad' || conv.outputs[0] !== dx || soleReader(dx) !== concat)
      return
    const rows = concat.outputs[0]!
    const isAsCut =
      sameShape(rows.shape, scan.inputs[Z]!.shape) &&
      sameShape(rows.shape, conv.inputs[0]!.shape) &&
      startOf(parts, dz) === scan.attributes.zColumn &&
      startOf(parts, dx) === conv.attributes.xColumn
    if (!isAsCut || place.get(dx)! < place.get(dz)!) return
    const started = { ...rows } // another tensor: only the columns of dz are written there
    instead.set(concat, [])
    instead.set(node, [{ ...scan, attributes: { ...scan.attributes, dzRows: 1 }, outputs: scan.outputs.with(Z, started) }])
    const inputs = Array.from({ length: INTO + 1 }, (_, i) => (i === INTO ? started : (conv.inputs[i] ?? null)))
    instead.set(filling!, [{ ...conv, inputs, outputs: [rows, ...conv.outputs.slice(1)] }])
  }

  /** `rows` are there after the node at `at`. */
  function addInProduct(rows: Value, at: number): void {
    const sum = soleReader(rows)
    const other = sum?.op === 'Add' ? sum.inputs.find((input) => input !== rows) : null
    if (!sum || !other || !sameShape(other.shape, rows.shape)) return
    const way: Node[] = []
    for (let value = other; ; value = way[0]!.inputs[0]!) {
      const node = nodes[place.get(value) ?? -1]
      if (!node || !soleReader(value)) return
      way.unshift(node)
      if (!views.has(node.op)) break
    }
    const [product, ...shown] = way as [Node, ...Node[]]
    if (product.op !== 'Gemm' || product.inputs.length > 2 || way.some((node) => instead.has(node)) || place.get(product.outputs[0]!)! < at)
      return
    const added = new GraphBuilder(g.float)
    const bias = added.reshape(rows, product.outputs[0]!.shape)
    instead.set(product, [...added.nodes, { ...product, inputs: [...product.inputs, bias] }])
    const last = shown.at(-1) ?? product
    instead.set(
      last,
      (instead.get(last) ?? [last]).map((node) => (node.op === last.op ? { ...node, outputs: sum.outputs } : node)),
    )
    instead.set(sum, [])
  }

  function isZero(value: Value): boolean {
    const data = g.constants.get(value)
    if (data) return data.every((x) => Number(x) === 0)
    return value.node !== null && ['Expand', 'Cast', 'Reshape'].includes(value.node.op) && isZero(value.node.inputs[0]!)
  }
}

/** Whether an operation can read a value where it lies as columns of wider rows, at every place where it reads it. */
export function isReadInPlace({ op, inputs }: Node, value: Value): boolean {
  return inputs.every((input, at) => input !== value || readable[op]?.[at] !== undefined)
}

/** The column at which one of the pieces begins. */
function startOf(pieces: readonly Value[], piece: Value): number {
  return pieces.slice(0, pieces.indexOf(piece)).reduce((sum, { shape }) => sum + shape.at(-1)!, 0)
}
