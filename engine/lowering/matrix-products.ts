import { GraphBuilder } from '../graph/graph-builder.ts'
import type { Shape, Value } from '../graph/value.ts'
import { lower } from './lower.ts'
import type { OnnxNode } from './onnx/model.ts'

/**
 * A graph of the matrix products of another and nothing else: the floor that a step is measured against. Every product has inputs (`a0`, `b0`, …)
 * and an output (`y0`, …) of its own; biases are left out. Attention counts its two products, its gradient the four that are not recomputed.
 */
export function matrixProducts(g: GraphBuilder): GraphBuilder {
  const { nodes, inputs, outputs, values, initializers } = lower(g)
  const shapes = new Map([...inputs, ...outputs, ...values, ...initializers].map(({ name, shape }) => [name, shape]))
  const products = new GraphBuilder(g.float)
  let count = 0
  const add = (a: Shape, b: Shape, multiply: (a: Value, b: Value) => Value) => {
    const i = count++
    products.output(`y${i}`, multiply(products.input(`a${i}`, a), products.input(`b${i}`, b)))
  }
  for (const node of nodes) {
    const shape = (i: number): Shape => shapes.get(node.inputs[i] ?? '') ?? []
    if (node.op === 'MatMul') add(shape(0), shape(1), (a, b) => products.matmul(a, b))
    if (node.op === 'Gemm') {
      const options = { transA: attribute(node, 'transA') === 1, transB: attribute(node, 'transB') === 1 }
      add(shape(0), shape(1), (a, b) => products.gemm(a, b, options))
    }
    if (node.op !== 'Attention' && node.op !== 'AttentionGrad') continue
    const heads = attribute(node, 'heads')
    const [[batch, queries, inner], [, keys]] = [shape(0), shape(1)] as [[number, number, number], [number, number]]
    const [many, width] = [batch * heads, inner / heads]
    const matmul = (m: number, k: number, n: number) => {
      add([many, m, k], [many, k, n], (a, b) => products.matmul(a, b))
    }
    matmul(queries, width, keys) // scores = q kᵀ, or their gradient = dO vᵀ
    matmul(queries, keys, width) // o = scores v, or dq
    if (node.op === 'Attention') continue
    matmul(keys, queries, width) // dk
    matmul(keys, queries, width) // dv
  }
  return products
}

function attribute(node: OnnxNode, name: string): number {
  const value = node.attributes[name]
  if (!value || !('int' in value)) throw new TypeError(`${node.op}: attribute ${name} is not a whole number`)
  return value.int
}
