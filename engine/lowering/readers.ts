import type { Node, Value } from '../graph/value.ts'

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
