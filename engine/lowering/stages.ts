import type { Graph, Value } from '../graph/value.ts'
import { joinHalves } from './join-halves.ts'
import { joinProducts } from './join-products.ts'
import { timeRowsOf, type TimeRows } from './time-rows.ts'

export interface Stages {
  /** What depends on rarely changed inputs alone; null where nothing does. Its outputs are inputs of the other stages, under the same names. */
  prepare: Graph | null
  /** What depends on time besides, for `evaluations` of the network at once; null where nothing does. Its outputs are inputs of `step`. */
  ahead: TimeRows['ahead'] | null
  step: Graph
}

/**
 * A graph in stages, so that what stays the same over many runs is computed once: `rare` are the inputs that seldom change, as the parameters do. Only
 * what the other stages read is kept. Constants are left to ONNX Runtime, and a view of a parameter is no work worth keeping. Of the other stages'
 * products those of the same few rows are one, and those with pieces of one weight.
 */
export function stagesOf(whole: Graph, rare: ReadonlySet<string>, evaluations = 1): Stages {
  const given = new Set([...whole.parameters.values(), ...[...whole.inputs].filter(([name]) => rare.has(name)).map(([, value]) => value)])
  const halves = { ...partsOf(whole), nodes: joinHalves(whole.nodes, whole, new Set([...given, ...whole.outputs.values()])) }
  const g = { ...halves, nodes: joinProducts(halves, stillOf(halves, given)) }
  const still = stillOf(g, given)
  const early = new Set<Value>(given)
  for (const { inputs, outputs } of g.nodes) {
    if (!outputs.every((value) => still.has(value)) || !inputs.some((value) => value && early.has(value))) continue
    for (const value of outputs) early.add(value)
  }

  const isView = ({ node }: Value) => node?.op === 'Reshape' && given.has(node.inputs[0]!)
  const results = new Set(g.outputs.values())
  const isKept = (value: Value) => early.has(value) && !given.has(value) && !isView(value) && !results.has(value)
  const readLate = g.nodes.filter(({ outputs }) => !outputs.some((value) => still.has(value))).flatMap(({ inputs }) => inputs)
  const kept = new Set(readLate.filter((value) => value !== null).filter(isKept))
  const prepared = new Map([...kept].map((value, i) => [`prepared.${i}`, value]))
  const step = kept.size > 0 ? { ...g, inputs: new Map([...g.inputs, ...prepared]) } : whole
  return { prepare: kept.size > 0 ? { ...g, outputs: prepared } : null, ahead: null, step, ...timeRowsOf(step, still, evaluations) }
}

/** What is given, the constants, and all that depends on nothing else. */
function stillOf({ nodes, constants }: Graph, given: ReadonlySet<Value>): Set<Value> {
  const still = new Set<Value>([...given, ...constants.keys()])
  for (const { inputs, outputs } of nodes) {
    if (inputs.every((value) => !value || still.has(value))) for (const value of outputs) still.add(value)
  }
  return still
}

function partsOf({ float, compute, sumsInOrder, nodes, inputs, parameters, constants, outputs }: Graph): Graph {
  return { float, compute, sumsInOrder, nodes, inputs, parameters, constants, outputs }
}
