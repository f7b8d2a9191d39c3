import { sizeOf } from '../graph/shape.ts'
import { elementBytes, type Node, type Value } from '../graph/value.ts'
import { makersOf, readersOf, tokensOf } from './readers.ts'

/** Where a scan has its time steps, and the weight of the product that makes them. */
const [steps, weightPlace] = [1, 9] as const

/**
 * Up to so many numbers a GPU makes the time steps inside of a scan in less time than a product takes: 1024 tokens of 1536 channels. Of more they have no
 * room there.
 */
const fewNumbers = 1024 * 1536

/**
 * Few time steps that are a product for one scan alone are made by the scan: so it is in drawing, in types of 16 bits, which are a GPU's. The nodes in
 * their order, without those products.
 */
export function absorbSteps(nodes: readonly Node[], outputs: ReadonlySet<Value>): Node[] {
  const readers = readersOf(nodes)
  const makers = makersOf(nodes)
  const absorbed = new Set<Node>()
  const soleMaker = (value: Value, op: string): Node | null => {
    const node = makers.get(value)
    return node?.op === op && readers.get(value)?.length === 1 && !outputs.has(value) ? node : null
  }
  const rewritten = nodes.map((node) => {
    const u = node.inputs[0]
    if (node.op !== 'SelectiveScan' || elementBytes[u!.dtype] !== 2 || sizeOf(u!.shape) > fewNumbers) return node
    const shown = soleMaker(node.inputs[steps]!, 'Reshape')
    const product = shown && soleMaker(shown.inputs[0]!, 'Gemm')
    if (!product || product.inputs.length > 2 || product.attributes.transA === 1 || product.attributes.transB !== 1) return node
    const [rows, weight] = product.inputs as [Value, Value]
    const tokens = tokensOf(rows, makers)
    if (tokens?.shape[0] !== u!.shape[0] || tokens?.shape[1] !== u!.shape[1]) return node
    absorbed.add(shown).add(product)
    const inputs = Array.from({ length: weightPlace + 1 }, (_, i) =>
      i === steps ? tokens : i === weightPlace ? weight : (node.inputs[i] ?? null),
    )
    return { ...node, inputs }
  })
  return rewritten.filter((node) => !absorbed.has(node))
}
