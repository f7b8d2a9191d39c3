import type { GraphBuilder } from '../graph/graph-builder.ts'
import { ShapeError, show, sizeOf } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'
import { Recomputation, type RecomputePolicy } from './recompute.ts'
import { gradientRules } from './rules.ts'

/**
 * Reverse-mode differentiation: appends to the graph the gradients of the scalar `loss` with respect to `wrt`, in their order.
 * Walks back only through the operations that lead from `wrt` to `loss`; gradients of a value used more than once are summed.
 * What is not kept of the forward pass, by `policy`, is computed again between the graph's borders; the gradients are the same.
 *
 * @throws ShapeError when the loss is not a scalar, when it does not depend on a value of `wrt`, or when an operation on the way has no rule.
 */
export function backward(g: GraphBuilder, loss: Value, wrt: readonly Value[], policy: RecomputePolicy = 'speed'): Value[] {
  if (sizeOf(loss.shape) !== 1)
    throw new ShapeError(`backward: the loss has shape ${show(loss.shape)}, it must be one number. Take its mean first.`)
  const active = dependents(g, wrt)
  if (!active.has(loss)) throw new ShapeError('backward: the loss depends on none of the given values.')

  const wanted = new Set(wrt)
  const gradients = new Map<Value, Value>([[loss, g.floats([1], loss.shape)]])
  const forward = g.nodes.slice()
  const recomputation = new Recomputation(g, policy, forward)
  const crossing = new Set<Value>()
  for (const [index, node] of [...forward.entries()].reverse()) {
    if (recomputation.enter(index, gradients, crossing)) crossing.clear()
    const dy = node.outputs.map((output) => gradients.get(output) ?? null)
    if (dy.every((gradient) => gradient === null) || !node.inputs.some((input) => input && active.has(input))) continue
    for (const output of node.outputs) if (!wanted.has(output)) crossing.delete(output)
    const dx = ruleOf(node)(g, recomputation.of(node), dy)
    accumulate(g, gradients, active, node, recomputation.inOrder(node, dx, active))
    for (const input of node.inputs) if (input && gradients.has(input)) crossing.add(input)
  }

  return wrt.map((value) => {
    const gradient = gradients.get(value)
    if (!gradient)
      throw new ShapeError(
        `backward: the loss does not depend on a value of shape ${show(value.shape)}. Leave it out of the trained parameters.`,
      )
    return gradient
  })
}

/** Every value that depends on one of `sources`, these included. */
function dependents(g: GraphBuilder, sources: readonly Value[]): Set<Value> {
  const active = new Set(sources)
  for (const node of g.nodes) {
    if (node.inputs.some((input) => input && active.has(input))) for (const output of node.outputs) active.add(output)
  }
  return active
}

function ruleOf(node: Node) {
  const rule = gradientRules[node.op]
  if (!rule) throw new ShapeError(`backward: operation ${node.op} has no gradient rule. Keep it out of the path from parameters to loss.`)
  return rule
}

function accumulate(g: GraphBuilder, gradients: Map<Value, Value>, active: Set<Value>, node: Node, dx: readonly (Value | null)[]): void {
  node.inputs.forEach((input, i) => {
    const gradient = dx[i]
    if (!input || !gradient || !active.has(input)) return
    const sofar = gradients.get(input)
    gradients.set(input, sofar ? g.add(sofar, gradient) : gradient)
  })
}
