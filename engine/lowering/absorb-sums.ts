import { sameShape } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'
import { makersOf, readersOf } from './readers.ts'

/** Operations that add a second gradient to one they are given: where that is, and where the second goes. */
const taking: Readonly<Record<string, { gradient: number; more: number }>> = {
  ScanConvGrad: { gradient: 4, more: 5 },
  AddNormModulateGrad: { gradient: 8, more: 11 },
}

/**
 * Sums of two gradients that only one of these operations reads are left to it: the sum would be written and read once more. The nodes in their
 * order, without those sums.
 */
export function absorbSums(nodes: readonly Node[], outputs: ReadonlySet<Value>): Node[] {
  const readers = readersOf(nodes)
  const makers = makersOf(nodes)
  const absorbed = new Set<Node>()
  const rewritten = nodes.map((node) => {
    const place = taking[node.op]
    const sum = place && node.inputs[place.gradient]
    const add = sum && makers.get(sum)
    if (!place || add?.op !== 'Add' || readers.get(sum!)?.length !== 1 || outputs.has(sum!)) return node
    const [a, b] = add.inputs
    if (!a || !b || !sameShape(a.shape, b.shape)) return node
    absorbed.add(add)
    const inputs = Array.from({ length: Math.max(node.inputs.length, place.more + 1) }, (_, i) =>
      i === place.gradient ? a : i === place.more ? b : (node.inputs[i] ?? null),
    )
    return { ...node, inputs }
  })
  return rewritten.filter((node) => !absorbed.has(node))
}
