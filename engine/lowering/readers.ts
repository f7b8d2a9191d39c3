import type { Node, Value } from '../graph/value.ts'

/** The node that makes each value. */
export function makersOf(nodes: readonly Node[]): Map<Value, Node> {
  return new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
}

/** What a value was before it was cast; itself where it was not. */
export function beforeCast(value: Value): Value {
  return value.node?.op === 'Cast' ? value.node.inputs[0]! : value
}

/** The tokens [B, L, K] that rows [B*L, K] are a view of, or null. */
export function tokensOf(rows: Value, makers: ReadonlyMap<Value, Node>): Value | null {
  const view = makers.get(rows)
  const tokens = view?.op === 'Reshape' ? view.inputs[0]! : null
  return tokens?.shape.length === 3 && tokens.shape[2] === rows.shape[1] ? tokens : null
}

/** The nodes that read each value, in their order; one that reads it twice stands there twice. */
export function readersOf(nodes: readonly Node[]): Map<Value, Node[]> {
  const readers = new Map<Value, Node[]>()
  for (const node of nodes) {
    for (const input of node.inputs) {
      if (!input) continue
      const sofar = readers.get(input)
      if (sofar) sofar.push(node)
      else readers.set(input, [node])
    }
  }
  return readers
}
