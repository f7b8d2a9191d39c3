import type { Recipe } from '#contracts/recipe.ts'
import type { GraphBuilder } from '../graph/graph-builder.ts'
import { isFloat, type Node, type Value } from '../graph/value.ts'

/** What a train step keeps of its forward pass. */
export type RecomputePolicy = Recipe['recompute']

/** Whether the results of an operation in the segment of that number stay in memory until its gradient is taken. */
const keeps: Readonly<Record<RecomputePolicy, (node: Node, segment: number) => boolean>> = {
  speed: () => true,
  /** What takes the longest for the memory that its results fill: products that narrow, attention, and every third scan. */
  balanced: ({ op, inputs: [a], outputs: [y], attributes }, segment) => {
    if (op === 'Gemm') return a!.shape[attributes.transA === 1 ? 0 : 1]! > y!.shape[1]!
    return op === 'Attention' || (op === 'SelectiveScan' && segment % 3 === 0)
  },
  memory: () => false,
}

/** Whether the running sum of the network is kept at a border, so many before the last; where it is not, it is added up again from the main stream. */
const keepsSum: Readonly<Record<RecomputePolicy, (border: number, beforeLast: number) => boolean>> = {
  speed: () => true,
  balanced: (border) => border % 4 === 0,
  /** 0, 2, 5, 9, 14 … before the last: the farther from the end, the more was given back when the sums of a span are all there. */
  memory: (_, beforeLast) => Number.isInteger(Math.sqrt(8 * beforeLast + 9)),
}

/**
 * Recomputation while gradients are taken from the end to the beginning, segment by segment between the graph's borders. When the gradient
 * reaches a border, what the segment before it did not keep is appended to the graph once more, and the gradients of that segment read the copies.
 *
 * Every copy reads through `After`, which waits for the gradient that arrived: ONNX Runtime would otherwise run copies as early as it can, or see
 * that they equal their originals and drop them, and nothing would be saved. For the same reason the gradient itself waits at a border until the
 * gradients of all weights behind it are there, so that what they read is given back.
 *
 * Where memory counts for most, a segment is computed from the running sum behind its first addition alone, so that the main stream at a border is
 * given back as soon as it is added up; and what comes before a product waits for the gradient of that product's weight.
 */
export class Recomputation {
  readonly #g: GraphBuilder
  readonly #policy: RecomputePolicy
  readonly #nodes: readonly Node[]
  /** Segments before this border are still to come; segment i lies between the borders i - 1 and i. */
  #next: number
  #copies = new Map<Value, Value>()
  readonly #sums = new Map<Value, Value>()

  /** `nodes` are those of the forward pass. */
  constructor(g: GraphBuilder, policy: RecomputePolicy, nodes: readonly Node[]) {
    this.#g = g
    this.#policy = policy
    this.#nodes = nodes
    this.#next = policy === 'speed' ? -1 : g.borders.length - 1
  }

  /**
   * Called before the gradient of the node at `index` is taken; indices fall. `crossing` are the values before the segment just left that got
   * gradients in it: weights, and what further gradients are added to. True at a border.
   */
  enter(index: number, gradients: Map<Value, Value>, crossing: ReadonlySet<Value>): boolean {
    const segment = this.#next
    const end = this.#g.borders[segment]
    if (!end || index >= end.at) return false
    this.#next--
    this.#copies = new Map()
    const arrived = gradients.get(end.values[0]!)
    if (!arrived) return true
    const others = new Set([...crossing].map((value) => gradients.get(value)!).filter((gradient) => gradient !== arrived))
    const gate = others.size > 0 ? this.#g.after(arrived, [...others]) : arrived
    for (const [value, gradient] of gradients) if (gradient === arrived) gradients.set(value, gate)
    if (segment > 0) this.#copySegment(segment, gate) // what is before the first border is small: it is kept
    return true
  }

  /** The node as its gradient shall see it. */
  of(node: Node): Node {
    const copyOf = (value: Value) => this.#copies.get(value) ?? value
    return { ...node, inputs: node.inputs.map((value) => value && copyOf(value)), outputs: node.outputs.map(copyOf) }
  }

  /** The gradients of a node's inputs, in the order in which they shall be computed. */
  inOrder({ op, inputs }: Node, gradients: (Value | null)[], active: ReadonlySet<Value>): (Value | null)[] {
    const [dx, dWeight, ...others] = gradients
    const isInSegment = this.#policy === 'memory' && this.#next >= 0
    if (!isInSegment || op !== 'Gemm' || !dx || !dWeight || !inputs.slice(0, 2).every((input) => active.has(input!))) return gradients
    return [this.#g.after(dx, [dWeight]), dWeight, ...others]
  }

  #copySegment(segment: number, gate: Value): void {
    const waiting = new Map<Value, Value>()
    const wait = (value: Value) => {
      if (!isFloat(value.dtype) || this.#g.constants.has(value)) return value
      const known = waiting.get(value) ?? this.#g.after(value, [gate])
      waiting.set(value, known)
      return known
    }
    const handedIn = new Set(this.#g.inputs.values())
    const [start, end] = [this.#g.borders[segment - 1]!, this.#g.borders[segment]!]
    const [before, sum] = [start.values[1], end.values[1]]
    const adding = this.#policy === 'memory' ? addingOf(sum) : null
    if (sum && adding) this.#copies.set(sum, this.#sum(segment, wait))
    else if (before && !this.#isKept(segment - 1, before)) this.#copies.set(before, this.#sum(segment - 1, wait))
    for (const node of this.#nodes.slice(start.at, end.at)) {
      if (keeps[this.#policy](node, segment) || node.outputs.every((output) => handedIn.has(output))) continue
      const read = node === adding ? [null, sum!, ...node.inputs.slice(2, 6)] : node.inputs
      const inputs = read.map((value) => value && (this.#copies.get(value) ?? wait(value)))
      const copied = this.#g.node(node.op, inputs, node.attributes, typesOf(node))
      node.outputs.forEach((output, i) => {
        if (node === adding ? output !== sum : !end.values.includes(output) || !this.#isKept(segment, output))
          this.#copies.set(output, copied[i]!)
      })
    }
  }

  #isKept(border: number, value: Value): boolean {
    return value.node?.op !== 'AddNormModulate' || keepsSum[this.#policy](border, this.#g.borders.length - 1 - border)
  }

  /** The running sum at a border: kept there, or the one at the border before and what the segment between them added. */
  #sum(border: number, wait: (value: Value) => Value): Value {
    const value = this.#g.borders[border]!.values[1]!
    if (this.#isKept(border, value)) return wait(value)
    const known = this.#sums.get(value)
    if (known) return known
    const node = value.node!
    const [h, before, , , , , keep, ...gated] = node.inputs
    const [modulated, , added] = this.#g.node(
      node.op,
      [wait(h!), before ? this.#sum(border - 1, wait) : null, null, null, null, null, keep!, ...gated.map((value) => value && wait(value))],
      node.attributes,
      typesOf(node),
    ) as [Value, Value, Value]
    const sum = this.#g.after(added, [modulated]) // what nothing reads would be held to the end of the run
    this.#sums.set(value, sum)
    return sum
  }
}

/** The operation that adds to the running sum and can be computed from its result: where it has a gate, that reads more. */
function addingOf(sum: Value | undefined): Node | null {
  return sum?.node?.op === 'AddNormModulate' && !sum.node.inputs[7] ? sum.node : null
}

const typesOf = ({ outputs }: Node) => outputs.map(({ shape, dtype }) => [shape, dtype] as const)
