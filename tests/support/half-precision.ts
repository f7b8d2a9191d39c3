import { elementBytes, type Graph, type Node, type Value } from '#engine/graph/value.ts'

/**
 * A graph with types of 16 bits as one of float32 in which every result that had 16 bits is rounded to them: the numbers of a GPU, its overflows
 * included, where ONNX Runtime and the fused operations have no such kernels. Sums inside an operation stay wide, as they do there.
 */
export function emulated(g: Graph): Graph {
  let id = 2 ** 40
  const isHalf = ({ dtype }: Value) => (dtype === 'f16' || dtype === 'bf16') && elementBytes[dtype] === 2
  const values = new Map<Value, Value>()
  const nodes: Node[] = []
  const widened = ({ shape, dtype }: Value, node: Node | null): Value => ({
    id: id++,
    shape,
    dtype: dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype,
    node,
  })
  const of = (value: Value): Value => {
    const known = values.get(value) ?? (value.node || isHalf(value) ? widened(value, null) : value)
    values.set(value, known)
    return known
  }
  const append = (op: string, inputs: readonly (Value | null)[], attributes: Node['attributes'], like: readonly Value[]): Value[] => {
    const node = { op, inputs, attributes, outputs: [] as Value[] }
    for (const value of like) node.outputs.push(value)
    for (const value of like) Object.assign(value, { node })
    nodes.push(node)
    return node.outputs
  }
  for (const node of g.nodes) {
    const attributes = node.op === 'Cast' && isHalf(node.outputs[0]!) ? { ...node.attributes, to: 'f32' } : node.attributes
    const inputs = node.inputs.map((value) => value && of(value))
    const raw = node.outputs.map((output) => (isHalf(output) ? widened(output, null) : of(output)))
    append(node.op, inputs, attributes, raw)
    for (const [i, output] of node.outputs.entries()) {
      if (!isHalf(output)) continue
      const rounded: Value = { ...widened(output, null), dtype: output.dtype }
      append('Cast', [raw[i]!], { to: output.dtype }, [rounded])
      append('Cast', [rounded], { to: 'f32' }, [of(output)])
    }
  }
  const named = (table: ReadonlyMap<string, Value>) => new Map([...table].map(([name, value]) => [name, of(value)]))
  const constants = new Map([...g.constants].map(([value, data]) => [of(value), data]))
  return {
    float: 'f32',
    compute: 'f32',
    nodes,
    inputs: named(g.inputs),
    parameters: named(g.parameters),
    constants,
    outputs: named(g.outputs),
  }
}
