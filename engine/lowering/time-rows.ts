import { GraphBuilder } from '../graph/graph-builder.ts'
import type { Graph, Node, Value } from '../graph/value.ts'

/** What is computed for many evaluations of a network at once, because it does not depend on what the network sees. */
export interface TimeRows {
  /** Input `t` [evaluations x rows]; outputs `timed.0`, `timed.1` and so on of as many rows, one evaluation's behind the other's. */
  ahead: Graph
  /** The rest. It reads the rows of the evaluation whose number is its input `evaluation`. */
  step: Graph
}

/**
 * Takes out of a network what depends on time and on still values alone, row by row: the times of a drawing are known before it begins, and a product of a
 * few rows takes as long as one of a single row, that is, as long as reading its weights. Null where nothing is taken out.
 *
 * @param g has the inputs `t` [rows] and `evaluation` [1], a whole number from 0 on.
 * @param still what stays the same over the evaluations; of as many rows as `t`, or the same for all of them.
 */
export function timeRowsOf(g: Graph, still: ReadonlySet<Value>, evaluations: number): TimeRows | null {
  const [t, evaluation] = [g.inputs.get('t'), g.inputs.get('evaluation')]
  if (!t || !evaluation || evaluations < 2) return null
  const rows = t.shape[0]!
  const timed = new Set<Value>([t])
  const taken = new Set<Node>()
  for (const node of g.nodes)
    if (isRowByRow(node, rows, timed, still)) {
      taken.add(node)
      for (const value of node.outputs) timed.add(value)
    }
  const isRead = new Set([...g.outputs.values(), ...g.nodes.filter((node) => !taken.has(node)).flatMap(({ inputs }) => inputs)])
  const crossing = [...taken].flatMap(({ outputs }) => outputs.filter((value) => isRead.has(value)))
  if (crossing.length === 0 || isRead.has(t)) return null

  const ahead = new GraphBuilder(g.float, g)
  const all = evaluations * rows
  const copies = new Map([[t, ahead.input('t', [all], t.dtype)]])
  const repeated = (value: Value) => {
    const shape = [evaluations, ...value.shape]
    return ahead.reshape(ahead.expand(ahead.reshape(value, [1, ...value.shape]), shape), [all, ...value.shape.slice(1)])
  }
  for (const node of taken) {
    const inputs = node.inputs.map((value) => {
      const isRows = value && !isFactor(node, value) && value.shape[0] === rows && value.shape.length === node.outputs[0]!.shape.length
      return value && (copies.get(value) ?? (isRows && rows > 1 ? repeated(value) : value))
    })
    const shapes = node.outputs.map(({ shape: [, ...rest], dtype }) => [[all, ...rest], dtype] as const)
    const attributes = node.op === 'Reshape' ? { shape: shapes[0]![0] } : node.attributes
    ahead.node(node.op, inputs, attributes, shapes).forEach((value, i) => copies.set(node.outputs[i]!, value))
  }

  const given = new GraphBuilder(g.float, g)
  const nth = given.cast(evaluation, 'i32')
  const row = rows === 1 ? nth : given.add(given.mul(nth, given.ints([rows], [1])), given.ints(Array(rows).keys().toArray(), [rows]))
  const tables = crossing.map((value, i) => given.input(`timed.${i}`, copies.get(value)!.shape, value.dtype))
  const readings = crossing.map((value, i) => ({ op: 'Gather', inputs: [tables[i]!, row], attributes: {}, outputs: [value] }))
  const constants = new Map([...g.constants, ...ahead.constants, ...given.constants])
  return {
    ahead: {
      ...g,
      constants,
      nodes: [...g.nodes.filter(({ outputs }) => outputs.every((value) => still.has(value))), ...ahead.nodes],
      inputs: new Map([...g.inputs, ...ahead.inputs]),
      outputs: new Map(crossing.map((value, i) => [`timed.${i}`, copies.get(value)!])),
    },
    step: {
      ...g,
      constants,
      inputs: new Map([...[...g.inputs].filter(([name]) => name !== 't'), ...given.inputs]),
      nodes: [...given.nodes, ...readings, ...g.nodes.filter((node) => !taken.has(node))],
    },
  }
}

/** Operations that give each row of a result from the same row of what they read. */
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Sin', 'Cos', 'Tanh', 'Sigmoid', 'Silu', 'Cast'])

function isRowByRow(node: Node, rows: number, timed: ReadonlySet<Value>, still: ReadonlySet<Value>): boolean {
  const { op, inputs, attributes } = node
  const [output, ...others] = node.outputs
  const isKnown = inputs.every((value) => !value || timed.has(value) || still.has(value))
  if (!isKnown || !inputs.some((value) => value && timed.has(value)) || others.length > 0 || output!.shape[0] !== rows) return false
  if (op === 'Gemm') return timed.has(inputs[0]!) && attributes.transA === 0 && inputs.slice(1).every((value) => !timed.has(value!))
  if (op === 'Reshape') return true // its input begins with the axis of rows, and so does its result
  return elementwise.has(op) && inputs.every((value) => !timed.has(value!) || value!.shape.length === output!.shape.length)
}

/** Whether a value is the right factor of a product, of which all rows are made. */
function isFactor({ op, inputs }: Node, value: Value): boolean {
  return op === 'Gemm' && inputs[1] === value
}
