import type { Graph, Value } from '../graph/value.ts'
import { joinHalves } from './join-halves.ts'
import { joinProducts } from './join-products.ts'
import { timeRowsOf } from './time-rows.ts'

export interface Stages {
  /** What depends on rarely changed inputs alone, and on time; null where nothing does. Its outputs are inputs of `step`, under the same names. */
  prepare: Graph | null
  step: Graph
  /** Of so many evaluations in a row `prepare` computes what depends on time; 1 where `step` does. */
  evaluations: number
}

/**
 * A graph in two, so that what stays the same over many runs is computed once: `rare` are the inputs that seldom change, as the parameters do. Only
 * what the other stage reads is kept. Constants are left to ONNX Runtime, and a view of a parameter is no work worth keeping. Of the other stage's
 * products those of the same few rows are one, and those with pieces of one weight. Where the times of `evaluations` are known in advance, what depends on
 * them is computed for all at once (see `timeRowsOf`).
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

  const timed = timeRowsOf(g, still, evaluations)
  const { ahead, step } = timed ?? { ahead: { ...g, outputs: new Map<string, Value>() }, step: g }
  const isView = ({ node }: Value) => node?.op === 'Reshape' && given.has(node.inputs[0]!)
  const results = new Set(g.outputs.values())
  const isKept = (value: Value) => early.has(value) && !given.has(value) && !isView(value) && !results.has(value)
  const readLate = step.nodes.filter(({ outputs }) => !outputs.some((value) => still.has(value))).flatMap(({ inputs }) => inputs)
  const kept = new Set(readLate.filter((value) => value !== null).filter(isKept))
  if (kept.size === 0 && !timed) return { prepare: null, step: whole, evaluations: 1 }

  const prepared = new Map([...kept].map((value, i) => [`prepared.${i}`, value]))
  return {
    prepare: { ...ahead, outputs: new Map([...prepared, ...ahead.outputs]) },
    step: { ...step, inputs: new Map([...step.inputs, ...prepared]) },
    evaluations: timed ? evaluations : 1,
  }
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
