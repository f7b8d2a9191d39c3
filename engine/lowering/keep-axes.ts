import { GraphBuilder } from '../graph/graph-builder.ts'
import type { Graph, Node, Value } from '../graph/value.ts'
import { makersOf, tokensOf } from './readers.ts'

/**
 * A product of rows [B*L, K] that are a view of tokens [B, L, K] makes tokens too, and its result is a view of them. ONNX Runtime lets a result take over
 * a dead one of the same shape alone: between a product and a scan nothing would be handed on. Only products of a matrix as it lies and without a bias can
 * be written so, in training those that give the gradients of tokens. The nodes in their order.
 */
export function keepAxes(nodes: readonly Node[], g: Graph): Node[] {
  const makers = makersOf(nodes)
  return nodes.flatMap((node) => {
    const tokens = node.op === 'Gemm' ? factorOf(node) : null
    if (!tokens) return [node]
    const [matrix, result] = [node.inputs[1]!, node.outputs[0]!]
    const kept = new GraphBuilder(g.float, { compute: g.compute })
    const product = kept.matmul(tokens, matrix)
    return [...kept.nodes, { op: 'Reshape', inputs: [product], attributes: { shape: result.shape }, outputs: [result] }]
  })

  /** The tokens that the left factor is a view of, where the product can be written with them. */
  function factorOf({ inputs, attributes }: Node): Value | null {
    const [rows, , bias] = inputs as [Value, Value, Value?]
    return bias || attributes.transA === 1 || attributes.transB === 1 ? null : tokensOf(rows, makers)
  }
}
