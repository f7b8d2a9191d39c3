import type { GraphBuilder } from '../graph/graph-builder.ts'
import { sizeOf } from '../graph/shape.ts'
import type { Graph, Value } from '../graph/value.ts'
import { readersOf } from '../lowering/readers.ts'

/** What is trained as one tensor: a parameter; those of its rows that the graph reads as one; or several that it reads one under another. */
export interface Trained {
  name: string
  value: Value
  /** What the graph reads: the same in the type of computation, or itself. */
  leaf: Value
}

/** The name of what is trained where that is not one whole parameter. */
const rowsName = (parameter: string, start: number, end: number): string => `${parameter}[${start}:${end}]`
const stackName = (parameters: readonly string[]): string => parameters.join('+')

/** Where what is trained lies: from a row of its first parameter on, all of them one behind the other. */
export function placeOf(name: string): { parameters: readonly string[]; row: number } {
  const [, parameter, row] = /^(.*)\[(\d+):\d+\]$/.exec(name) ?? []
  return parameter === undefined ? { parameters: name.split('+'), row: 0 } : { parameters: [parameter], row: Number(row) }
}

/** Whether what lies behind a parameter in memory begins where it ends: tensors begin at multiples of 64 bytes. */
export const endsEvenly = ({ shape }: Pick<Value, 'shape'>): boolean => sizeOf(shape) % 16 === 0

/** The name of a weight in the type of computation, among inputs and outputs. */
export const shadowName = (name: string): string => `shadow/${name}`

/** The shadows that a graph reads, by the name of their input. */
export function shadowsOf({ inputs }: Pick<Graph, 'inputs'>): Map<string, Value> {
  return new Map([...inputs].filter(([name]) => name.startsWith(shadowName(''))))
}

/**
 * Hands in what every parameter is read through: its cast to the type of computation where nothing reads it otherwise, else itself. The update writes
 * such a cast together with the weight, and no step casts it. Where it is only ever cut between its rows, the pieces are handed in, and where it is only
 * read under others, all of them as one: views of the same memory, so that nothing is cut or laid together, neither weights nor their gradients.
 */
export function handIn(g: GraphBuilder): Trained[] {
  const readers = readersOf(g.nodes)
  const soleReader = (value: Value) => (readers.get(value)?.length === 1 ? readers.get(value)![0]! : null)
  const leafOf = (parameter: Value) => {
    const reader = soleReader(parameter)
    return reader?.op === 'Cast' && reader.attributes.to === g.compute ? reader.outputs[0]! : parameter
  }
  const names = new Map([...g.parameters].map(([name, parameter]) => [leafOf(parameter), name]))
  const stacked = new Set<Value>()
  return [...names].flatMap(([leaf, name]) => {
    if (stacked.has(leaf)) return []
    const reader = soleReader(leaf)
    const alongRows = reader?.attributes.axis === 0 ? reader : null
    if (alongRows?.op === 'Split') {
      let row = 0
      return alongRows.outputs.map((piece) => handInView(g, rowsName(name, row, (row += piece.shape[0]!)), piece))
    }
    const isStackable = (value: Value | null) => value && names.has(value) && soleReader(value) === alongRows && endsEvenly(value)
    if (alongRows?.op === 'Concat' && alongRows.inputs.every(isStackable)) {
      const members = alongRows.inputs as Value[]
      for (const member of members) stacked.add(member)
      return handInView(g, stackName(members.map((member) => names.get(member)!)), alongRows.outputs[0]!)
    }
    if (leaf.dtype !== g.float) g.inputs.set(shadowName(name), leaf)
    return { name, value: g.parameters.get(name)!, leaf }
  })
}

function handInView(g: GraphBuilder, name: string, leaf: Value): Trained {
  const isShadow = leaf.dtype !== g.float
  g.inputs.set(isShadow ? shadowName(name) : name, leaf)
  return { name, value: isShadow ? g.input(name, leaf.shape) : leaf, leaf }
}
