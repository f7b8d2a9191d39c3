import type { Node } from '../graph/value.ts'
import { makersOf } from './readers.ts'

/**
 * The order in which ONNX Runtime runs nodes that are listed as `nodes`: back from what nobody reads, at every node the input that was listed last
 * comes first, a node after its inputs. (Its default order; the result for a list is a function of the list alone.)
 */
export function executionOrder(nodes: readonly Node[]): Node[] {
  const place = new Map(nodes.map((node, i) => [node, i]))
  const makers = makersOf(nodes)
  const read = new Set(nodes.flatMap(({ inputs }) => inputs))
  const order: Node[] = []
  const visited = new Set<Node>()
  const stack = nodes.filter(({ outputs }) => !outputs.some((output) => read.has(output))).map((node) => ({ node, leave: false }))
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, leave } = top
    if (leave) {
      order.push(node)
      continue
    }
    if (visited.has(node)) continue
    visited.add(node)
    stack.push({ node, leave: true })
    const before = new Set(node.inputs.flatMap((input) => (input ? (makers.get(input) ?? []) : [])))
    for (const one of [...before].sort((a, b) => place.get(a)! - place.get(b)!))
      if (!visited.has(one)) stack.push({ node: one, leave: false })
  }
  return order
}
