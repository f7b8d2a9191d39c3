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
  // What is handed in, or kept between runs, has 16 bits indeed.
  const handedIn = new Map([...g.inputs].filter(([, value]) => isHalf(value)).map(([name, value]) => [name, { ...value, node: null }]))
  for (const [name, value] of handedIn) append('Cast', [value], { to: 'f32' }, [of(g.inputs.get(name)!)])
  const given = new Set(g.inputs.values())
  for (const node of g.nodes) {
    if (node.outputs.every((output) => given.has(output))) continue
    if (node.op === 'AdamW') for (const output of node.outputs) values.set(output, { ...output, node: null })
    const attributes = node.op === 'Cast' && isHalf(node.outputs[0]!) ? { ...node.attributes, to: 'f32' } : node.attributes
    const inputs = node.inputs.map((value) => value && of(value))
    const raw = node.outputs.map((output) => (isHalf(output) && node.op !== 'AdamW' ? widened(output, null) : of(output)))
    append(node.op, inputs, attributes, raw)
    for (const [i, output] of node.outputs.entries()) {
      if (!isHalf(output) || node.op === 'AdamW') continue
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
    sumsInOrder: g.sumsInOrder,
    nodes,
    inputs: new Map([...named(g.inputs), ...handedIn]),
    parameters: named(g.parameters),
    constants,
    outputs: named(g.outputs),
  }
}
