import type { Recipe } from '#contracts/recipe.ts'
import type { Border, GraphBuilder } from '../graph/graph-builder.ts'
import { isFloat, type Node, type Value } from '../graph/value.ts'

/** What a train step keeps of its forward pass. */
export type RecomputePolicy = Recipe['recompute']

/** Widest inner size of a product that is cheaper to multiply again than to keep. */
const thinProduct = 64

/** Whether the results of an operation between two borders stay in memory until its gradient is taken. */
const keeps: Readonly<Record<RecomputePolicy, (node: Node) => boolean>> = {
  speed: () => true,
  /** Wide products and attention are kept; norms, gates, convolutions, scans, casts and thin products are done again. */
  balanced: ({ op, inputs: [a], attributes }) => {
    if (op === 'Gemm') return a!.shape[attributes.transA === 1 ? 0 : 1]! > thinProduct
    return op === 'MatMul' || op === 'Attention'
  },
  memory: () => false,
}

/** The operations between two borders, and the second of them. */
interface Segment {
  start: number
  end: Border
}

/**
 * Recomputation while gradients are taken from the end to the beginning, segment by segment between the graph's borders. When the gradient
 * reaches a border, what the segment before it did not keep is appended to the graph once more, and the gradients of that segment read the copies.
 *
 * Every copy reads through `After`, which waits for the gradient that arrived: ONNX Runtime would otherwise run copies as early as it can, or see
 * that they equal their originals and drop them, and nothing would be saved. For the same reason the gradient itself waits at a border until the
 * gradients of all weights behind it are there, so that what they read is given back.
 */
export class Recomputation {
  readonly #g: GraphBuilder
  readonly #policy: RecomputePolicy
  readonly #nodes: readonly Node[]
  readonly #segments: Segment[]
  #copies = new Map<Value, Value>()

  /** `nodes` are those of the forward pass. */
  constructor(g: GraphBuilder, policy: RecomputePolicy, nodes: readonly Node[]) {
    this.#g = g
    this.#policy = policy
    this.#nodes = nodes
    this.#segments = policy === 'speed' ? [] : g.borders.map((end, i) => ({ start: g.borders[i - 1]?.at ?? 0, end }))
  }

  /**
   * Called before the gradient of the node at `index` is taken; indices fall. `crossing` are the gradients of what was there before the segment
   * just left: of weights, and of values that further gradients are added to.
   */
  enter(index: number, gradients: Map<Value, Value>, crossing: ReadonlySet<Value>): boolean {
    const segment = this.#segments.at(-1)
    if (!segment || index >= segment.end.at) return false
    this.#segments.pop()
    this.#copies = new Map()
    const arrived = gradients.get(segment.end.values[0]!)
    if (!arrived) return true
    const others = new Set([...crossing].map((value) => gradients.get(value)!).filter((gradient) => gradient !== arrived))
    const gate = others.size > 0 ? after(this.#g, arrived, [...others]) : arrived
    for (const [value, gradient] of gradients) if (gradient === arrived) gradients.set(value, gate)
    // What is before the first border is small: it is kept.
    if (segment.start > 0 || this.#g.borders[0]!.at === 0) this.#copySegment(segment, gate)
    return true
  }

  /** The node as its gradient shall see it. */
  of(node: Node): Node {
    const copyOf = (value: Value) => this.#copies.get(value) ?? value
    return { ...node, inputs: node.inputs.map((value) => value && copyOf(value)), outputs: node.outputs.map(copyOf) }
  }

  #copySegment({ start, end }: Segment, gate: Value): void {
    const waiting = new Map<Value, Value>()
    const wait = (value: Value) => {
      if (!isFloat(value.dtype) || this.#g.constants.has(value)) return value
      const known = waiting.get(value) ?? after(this.#g, value, [gate])
      waiting.set(value, known)
      return known
    }
    for (const node of this.#nodes.slice(start, end.at)) {
      if (keeps[this.#policy](node)) continue
      const inputs = node.inputs.map((value) => value && (this.#copies.get(value) ?? wait(value)))
      const outputs = this.#g.node(
        node.op,
        inputs,
        node.attributes,
        node.outputs.map(({ shape, dtype }) => [shape, dtype] as const),
      )
      node.outputs.forEach((output, i) => this.#copies.set(output, outputs[i]!))
    }
    for (const kept of end.values) this.#copies.delete(kept)
  }
}

/** `x`, not before the others are there: the same memory under another name. */
function after(g: GraphBuilder, x: Value, others: readonly Value[]): Value {
  return g.node('After', [x, ...others], {}, [[x.shape, x.dtype]])[0]!
}
