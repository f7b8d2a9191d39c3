import type { Graph, Value } from '../graph/value.ts'

export interface Stages {
  /** What depends on rarely changed inputs alone; null where nothing does. Its outputs are inputs of `step`, under the same names. */
  prepare: Graph | null
  step: Graph
}

/**
 * A graph in two, so that what stays the same over many runs is computed once: `rare` are the inputs that seldom change, as the parameters do. Only
 * what the other stage reads is kept. Constants are left to ONNX Runtime, and a view of a parameter is no work worth keeping.
 */
export function stagesOf(g: Graph, rare: ReadonlySet<string>): Stages {
  const given = new Set([...g.parameters.values(), ...[...g.inputs].filter(([name]) => rare.has(name)).map(([, value]) => value)])
  const early = new Set<Value>(given)
  const still = new Set<Value>([...given, ...g.constants.keys()])
  for (const { inputs, outputs } of g.nodes) {
    const present = inputs.filter((value) => value !== null)
    if (!present.every((value) => still.has(value))) continue
    for (const value of outputs) {
      still.add(value)
      if (present.some((value) => early.has(value))) early.add(value)
    }
  }

  const isView = ({ node }: Value) => node?.op === 'Reshape' && given.has(node.inputs[0]!)
  const results = new Set(g.outputs.values())
  const isKept = (value: Value) => early.has(value) && !given.has(value) && !isView(value) && !results.has(value)
  const readLate = g.nodes.filter(({ outputs }) => !outputs.some((value) => still.has(value))).flatMap(({ inputs }) => inputs)
  const kept = new Set(readLate.filter((value) => value !== null).filter(isKept))
  if (kept.size === 0) return { prepare: null, step: g }

  const prepared = new Map([...kept].map((value, i) => [`prepared.${i}`, value]))
  return { prepare: { ...partsOf(g), outputs: prepared }, step: { ...partsOf(g), inputs: new Map([...g.inputs, ...prepared]) } }
}

function partsOf({ float, compute, nodes, inputs, parameters, constants, outputs }: Graph): Graph {
  return { float, compute, nodes, inputs, parameters, constants, outputs }
}
