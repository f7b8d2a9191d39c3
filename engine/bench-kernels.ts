import { countedNodes, floorMs, timesOf, type Ceilings, type Work } from './floor.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import { sizeOf } from './graph/shape.ts'
import { isFloat, type Graph, type Node, type Value } from './graph/value.ts'
import { legalInput } from './legal-inputs.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { timeGraph } from './time-graph.ts'

/** Operations of a step that differ in nothing but what their tensors hold, timed as one. */
export interface KernelReport {
  operation: string
  /** Its tensors and what else tells it from others of the same operation. */
  what: string
  /** How many a step has. */
  count: number
  /** How many were run in a row to take the time of one; 1 where it cannot be repeated, and then the time holds all of the overhead. */
  repeats: number
  /** Of one, and of all that a step has; null where it could not be run alone, for the reason in `error`. */
  ms: number | null
  totalMs: number | null
  GBps: number | null
  tflops: number | null
  floorMs: number
  /** What the floor is made of. */
  bound: 'bytes' | 'products' | 'special functions'
  /** The floor over the time. */
  share: number | null
  error: string | null
}

export interface KernelTable {
  /** The longest in all come first. */
  kernels: KernelReport[]
  /** A run of a graph with one tiny operation. A row of repeats holds it once; it is not taken off. */
  overheadMs: number
  sumMs: number
  /** The whole step, and what is left of it when the sum is taken away: below 0 where operations are faster one behind the other than alone. */
  stepMs: number
  restMs: number
}

export interface KernelGroup {
  /** The first of them. */
  node: Node
  graph: Graph
  work: Work
  isWritten: (output: number) => boolean
  what: string
  count: number
}

/** A row of repeats lasts this long at the floor, where there may be so many, so that the overhead of a run, hundredths of a millisecond, is next to nothing of it. */
const rowMs = 8
const mostRepeats = 64
/** What no floor is below: a launch. */
const launchMs = 0.004

/** The operations that a step runs, by kind: operation, attributes, shapes, types, and which of its results are written. */
export function kernelGroups(parts: readonly { graph: Graph; runs: number }[]): KernelGroup[] {
  const groups = new Map<string, KernelGroup>()
  for (const { graph, runs } of parts) {
    for (const { node, work, isWritten } of countedNodes(graph)) {
      const key = keyOf(graph, node, isWritten)
      const group = groups.get(key)
      if (group) group.count += runs
      else groups.set(key, { node, graph, work, isWritten, what: describe(node, isWritten), count: runs })
    }
  }
  return [...groups.values()]
}

/** Times every kind of operation of a step alone, as a graph of a few in a row; the numbers that go in are random and legal. */
export async function measureKernels(
  runtime: NativeRuntime,
  parts: readonly { graph: Graph; runs: number }[],
  { ceilings, stepMs }: { ceilings: Ceilings; stepMs: number },
): Promise<KernelTable> {
  const tiny = new GraphBuilder('f32')
  tiny.output('y', tiny.neg(tiny.input('x', [1])))
  const overheadMs = await timeGraph(runtime, tiny)
  const kernels: KernelReport[] = []
  for (const group of kernelGroups(parts)) kernels.push(await measureKernel(runtime, group, ceilings))
  kernels.sort((a, b) => (b.totalMs ?? 0) - (a.totalMs ?? 0))
  const sumMs = kernels.reduce((sum, { totalMs }) => sum + (totalMs ?? 0), 0)
  return { kernels, overheadMs, sumMs, stepMs, restMs: stepMs - sumMs }
}

async function measureKernel(runtime: NativeRuntime, group: KernelGroup, ceilings: Ceilings): Promise<KernelReport> {
  const { node, work, what, count } = group
  const floor = floorMs(work, ceilings)
  const repeats = gateOf(group) ? Math.min(mostRepeats, Math.ceil(rowMs / Math.max(floor, launchMs))) : 1
  const known = { operation: node.op, what, count, repeats, floorMs: floor, bound: boundOf(work, ceilings) }
  try {
    const places = new Map<string, number>()
    const ms = (await timeGraph(runtime, rowOf(group, repeats, places), (name) => legalInput(node, places.get(name)!))) / repeats
    const rates = { GBps: work.bytes / ms / 1e6, tflops: work.flops / ms / 1e9 }
    return { ...known, ms, totalMs: count * ms, ...rates, share: floor / ms, error: null }
  } catch (error) {
    const nothing = { ms: null, totalMs: null, GBps: null, tflops: null, share: null }
    return { ...known, ...nothing, error: error instanceof Error ? error.message : String(error) }
  }
}

/**
 * A graph of one operation, `repeats` times in a row: each but the first reads through `After`, which waits for the results of the one before, so that
 * none is dropped as equal to another. Constants stay what they are. `places` gets the place that each input of the graph has in the operation.
 */
export function rowOf(group: KernelGroup, repeats: number, places: Map<string, number>): GraphBuilder {
  const { node, graph, isWritten } = group
  const g = new GraphBuilder(graph.float, { compute: graph.compute, sumsInOrder: graph.sumsInOrder })
  const given = new Map<Value, Value>()
  node.inputs.forEach((input, place) => {
    if (!input || given.has(input)) return
    const data = graph.constants.get(input)
    if (!data) places.set(`x${place}`, place)
    given.set(input, data ? g.constant(data, input.shape, input.dtype) : g.input(`x${place}`, input.shape, input.dtype))
  })
  const gate = gateOf(group)
  const types = node.outputs.map(({ shape, dtype }) => [shape, dtype] as const)
  let written: Value[] = []
  for (let i = 0; i < repeats; i++) {
    const waited = gate && i > 0 ? g.after(given.get(gate)!, written) : null
    const inputs = node.inputs.map((input) => input && (input === gate && waited ? waited : given.get(input)!))
    written = g.node(node.op, inputs, node.attributes, types).filter((_, output) => isWritten(output))
  }
  written.forEach((value, i) => g.output(`y${i}`, value))
  return g
}

/** The input through which one of a row waits for the one before, the smallest that can; null where none can. */
function gateOf({ node, graph }: Pick<KernelGroup, 'node' | 'graph'>): Value | null {
  const able = node.inputs.filter((input) => input !== null).filter((input) => isFloat(input.dtype) && !graph.constants.has(input))
  return able.toSorted((a, b) => sizeOf(a.shape) - sizeOf(b.shape))[0] ?? null
}

function boundOf(work: Work, ceilings: Ceilings): KernelReport['bound'] {
  const { bytes, flops, specials } = timesOf(work, ceilings)
  if (bytes >= Math.max(flops, specials)) return 'bytes'
  return flops >= specials ? 'products' : 'special functions'
}

/** What an operation is told that changes nothing but where it reads. */
const whereabouts = new Set(['start', 'end', 'stream', 'shiftColumn', 'scaleColumn', 'gateColumn'])

function keyOf(graph: Graph, node: Node, isWritten: (output: number) => boolean): string {
  const types = (values: readonly (Value | null)[]) =>
    values.map((value) => value && `${typeOf(value)}${graph.constants.has(value) ? '!' : ''}`)
  const attributes = Object.entries(node.attributes).filter(([name]) => !whereabouts.has(name))
  const same = node.inputs.map((input) => node.inputs.indexOf(input)) // a square is no product of two
  return JSON.stringify([node.op, attributes, types(node.inputs), same, types(node.outputs), node.outputs.map((_, i) => isWritten(i))])
}

const typeOf = ({ dtype, shape }: Value): string => `${dtype}[${shape.join(',')}]`

/** For people: the types of inputs and results, or how many there are. */
function describe({ inputs, outputs, attributes }: Node, isWritten: (output: number) => boolean): string {
  const listed = (values: readonly (Value | null)[]) => {
    const there = values.filter((value) => value !== null)
    const shown = there.slice(0, mostListed).map(typeOf).join(' ')
    return there.length > mostListed ? `${shown} and ${there.length - mostListed} more` : shown
  }
  const turned = [attributes.transA === 1 ? 'Aᵀ' : '', attributes.transB === 1 ? 'Bᵀ' : ''].filter((word) => word !== '').join(' ')
  return `${listed(inputs)}${turned && ` (${turned})`} -> ${listed(outputs.filter((_, i) => isWritten(i)))}`
}
const mostListed = 3
