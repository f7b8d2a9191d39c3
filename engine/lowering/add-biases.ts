import { GraphBuilder } from '../graph/graph-builder.ts'
import { sameShape } from '../graph/shape.ts'
import type { Graph, Node } from '../graph/value.ts'

/** Up to so many rows the addition of a bias costs next to nothing but its start. */
const fewRows = 64

/**
 * A bias of a product of few rows is added behind it. On a GPU ONNX Runtime writes a bias to the whole result first, by a product of its own that takes
 * up to four times as long; one as large as the result it only copies. So it is where types are mixed, which they are on a GPU alone. The nodes in their order.
 */
export function addBiases(nodes: readonly Node[], g: Graph): Node[] {
  if (g.compute === g.float) return [...nodes]
  return nodes.flatMap((node) => {
    const [bias, result] = [node.inputs[2], node.outputs[0]!]
    if (node.op !== 'Gemm' || !bias || result.shape[0]! > fewRows || sameShape(bias.shape, result.shape)) return [node]
    const apart = new GraphBuilder(g.float, { compute: g.compute })
    const [product] = apart.node('Gemm', node.inputs.slice(0, 2), node.attributes, [[result.shape, result.dtype]])
    return [...apart.nodes, { op: 'Add', inputs: [product!, bias], attributes: {}, outputs: [result] }]
  })
}
