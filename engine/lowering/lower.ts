import { ShapeError } from '../graph/shape.ts'
import type { Graph, Node, Value } from '../graph/value.ts'
import { absorbGates } from './absorb-gates.ts'
import { absorbSums } from './absorb-sums.ts'
import { addBiases } from './add-biases.ts'
import { Emitter } from './emitter.ts'
import { giveSteps } from './give-steps.ts'
import { joinHalves } from './join-halves.ts'
import { keepAxes } from './keep-axes.ts'
import { isRuntimesOwn, nativeOp, runtimesOwn } from './native-ops.ts'
import type { OnnxGraph } from './onnx/model.ts'
import { portableOps } from './portable-ops.ts'
import { readColumns } from './read-columns.ts'
import { standardOps, type Lowering } from './standard-ops.ts'

/** `native` uses the fused operations of domain `zigma` and what ONNX Runtime has beside ONNX; `portable` uses ONNX's own only and runs on any ONNX Runtime. */
export type Form = 'native' | 'portable'

/**
 * The graph in ONNX: what no output needs is left out, constants become initializers, every value keeps its shape.
 *
 * @throws ShapeError for an operation that has no portable form (gradients, optimizer, random numbers).
 */
export function lower(g: Graph, form: Form = 'native'): OnnxGraph {
  const { nodes, isNeeded } = loweredNodes(g, form)
  const outputValues = new Set(g.outputs.values())
  const e = new Emitter(g)
  const outputs = [...g.outputs].map(([name, value]) => ({ name, dtype: value.dtype, shape: value.shape, value }))

  for (const [value, data] of g.constants) if (isNeeded(value)) e.rename(value, e.constant(data, value.shape, value.dtype))
  // A computed output is written under its own name; an Identity would copy it, and a weight is updated in place.
  for (const { name, value } of outputs) if (value.node) e.rename(value, name)
  for (const node of nodes) {
    loweringOf(node, form, isNeeded)(e, node)
    for (const value of node.outputs)
      if (isNeeded(value) && !outputValues.has(value)) e.graph.values.push({ name: e.name(value), dtype: value.dtype, shape: value.shape })
  }
  for (const { name, value } of outputs) {
    if (e.name(value) !== name) e.graph.nodes.push({ op: 'Identity', domain: '', inputs: [e.name(value)], outputs: [name], attributes: {} })
  }

  const declare = ([name, { dtype, shape }]: [string, Value]) => ({ name, dtype, shape })
  e.graph.inputs.push(...[...g.inputs, ...g.parameters].filter(([, value]) => isNeeded(value)).map(declare))
  e.graph.outputs.push(...outputs.map(({ name, dtype, shape }) => ({ name, dtype, shape })))
  return e.graph
}

/** The operations that are written, in their order, and which values something reads. */
export function loweredNodes(g: Graph, form: Form): { nodes: Node[]; isNeeded: (value: Value) => boolean } {
  const outputValues = new Set(g.outputs.values())
  const given = new Set([...g.inputs.values(), ...g.parameters.values()])
  const needed = (nodes: readonly Node[]) => neededNodes(nodes, outputValues, given)
  if (form === 'portable') return needed(g.nodes)
  const fixed = new Set([...outputValues, ...given])
  const inPlace = readColumns(joinHalves(needed(g.nodes).nodes, g, fixed), g, fixed)
  const stepped = giveSteps(needed(inPlace).nodes, g, outputValues)
  const summed = absorbSums(needed(stepped).nodes, outputValues)
  const gated = absorbGates(needed(summed).nodes, outputValues)
  return needed(addBiases(keepAxes(needed(gated).nodes, g), g))
}

function neededNodes(nodes: readonly Node[], outputs: ReadonlySet<Value>, given: ReadonlySet<Value>): ReturnType<typeof loweredNodes> {
  const needed = neededValues(nodes, outputs, given)
  const isNeeded = (value: Value) => needed.has(value)
  return { nodes: nodes.filter((node) => node.outputs.some((value) => isNeeded(value) && !given.has(value))), isNeeded }
}

function loweringOf(node: Node, form: Form, isNeeded: (value: Value) => boolean): Lowering {
  if (form === 'native' && isRuntimesOwn(node)) return runtimesOwn
  const lowering = standardOps[node.op] ?? (form === 'native' ? nativeOp(node.op, isNeeded) : portableOps[node.op])
  if (!lowering)
    throw new ShapeError(
      `lower: operation ${node.op} has no ${form} form. ${form === 'portable' ? 'Only drawing graphs can be exported; train with the native library.' : 'Add it to the lowering table.'}`,
    )
  return lowering
}

/** The values that the outputs depend on, back to those that are handed in. */
function neededValues(nodes: readonly Node[], outputs: ReadonlySet<Value>, given: ReadonlySet<Value>): Set<Value> {
  const needed = new Set(outputs)
  for (const node of nodes.slice().reverse()) {
    if (node.outputs.some((value) => needed.has(value) && !given.has(value))) for (const input of node.inputs) if (input) needed.add(input)
  }
  return needed
}
