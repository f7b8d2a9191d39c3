import { sameShape, sizeOf } from '../graph/shape.ts'
import { elementBytes, type Graph, type Node, type Value } from '../graph/value.ts'
import { ArenaModel, type Chunk, type Growth } from './arena-model.ts'
import { executionOrder } from './execution-order.ts'
import { loweredNodes } from './lower.ts'
import { isLeftOut, isRuntimesOwn, overwritable } from './native-ops.ts'

/** What a graph takes beside its inputs, its parameters and its outputs: its constants, and what a run computes on the way. */
export interface MemoryPlan {
  /** The most that is given out at once, in chunks that may be larger than what lies in them. */
  peakBytes: number
  /** What the device gives for it. */
  reservedBytes: number
}

/** Operations whose result is the memory of their first input. */
export const views = new Set(['Reshape', 'After'])
/** ONNX Runtime's own operations that write over an input of the same shape when nothing reads it any more. */
const inPlace = new Set(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Exp', 'Log', 'Sqrt', 'Reciprocal', 'Tanh', 'Sigmoid', 'Softplus'])

const bytesOf = ({ dtype, shape }: Value): number => sizeOf(shape) * elementBytes[dtype]

/** One piece of memory and the places in the order between which it is held. */
interface Buffer {
  value: Value
  from: number
  to: number
  /** Whether what lies in it last is read by nothing: then it is held to the end of the run. */
  unread: boolean
}

/**
 * Plays a run of the lowered graph as ONNX Runtime plans it: its order, which results lie in the memory of others, and what its arena makes of the
 * sequence. Measured on a processor the peak is met within a few parts in a hundred; a test says so.
 */
export function planMemory(g: Graph, growth: Growth): MemoryPlan {
  const { nodes, isNeeded } = loweredNodes(g, 'native')
  const constants = new Set(g.constants.keys())
  const order = executionOrder(nodes).filter((node) => !isConstant(node, constants))
  const buffers = planBuffers(g, order, { constants, isNeeded })
  const [begins, ends] = [Map.groupBy(buffers, ({ from }) => from), Map.groupBy(buffers, ({ to }) => to)]
  const arena = new ArenaModel(growth)
  const chunks = new Map<Buffer, Chunk>()
  const read = new Set(order.flatMap(({ inputs }) => inputs))
  for (const constant of constants) if (read.has(constant)) arena.take(bytesOf(constant))
  order.forEach((node, at) => {
    for (const buffer of begins.get(at) ?? []) chunks.set(buffer, arena.take(bytesOf(buffer.value)))
    const work = workspaceBytes(node).map((size) => arena.take(size))
    for (const chunk of work) arena.give(chunk)
    for (const buffer of ends.get(at) ?? []) arena.give(chunks.get(buffer)!)
  })
  return { peakBytes: arena.peakBytes, reservedBytes: arena.reservedBytes }
}

/** ONNX Runtime computes what depends on constants alone once, when the program is made; adds it to them. */
export function isConstant({ inputs, outputs }: Node, constants: Set<Value>): boolean {
  if (!inputs.every((input) => !input || constants.has(input))) return false
  for (const output of outputs) constants.add(output)
  return true
}

/**
 * ONNX Runtime decides before the first run which results share memory: a view is what it shows; some operations write over an input that they are
 * the last to read; and a result takes over a dead one of the same shape, the one that died last, which is held until then.
 */
function planBuffers(
  g: Graph,
  order: readonly Node[],
  { constants, isNeeded }: { constants: ReadonlySet<Value>; isNeeded: (value: Value) => boolean },
): Buffer[] {
  const outside = new Set<Value>([...g.inputs.values(), ...g.parameters.values(), ...constants, ...g.outputs.values()])
  const readers = new Map<Value, number>()
  for (const { inputs } of order) for (const input of inputs) if (input) readers.set(input, (readers.get(input) ?? 0) + 1)

  const buffers: Buffer[] = []
  const holder = new Map<Value, Buffer>()
  const uses = new Map<Buffer, number>()
  const dead: Buffer[] = []
  const put = (value: Value, buffer: Buffer) => {
    holder.set(value, buffer)
    uses.set(buffer, (uses.get(buffer) ?? 0) + (readers.get(value) ?? 0))
  }
  order.forEach((node, at) => {
    node.outputs.forEach((output, i) => {
      if (outside.has(output) || isLeftOut(node, i, isNeeded)) return
      const shown = views.has(node.op) ? node.inputs[0]! : null
      if (shown) {
        const buffer = holder.get(shown)
        if (buffer) put(output, buffer)
        return
      }
      const fits = (other: Value) => sameShape(other.shape, output.shape) && elementBytes[other.dtype] === elementBytes[output.dtype]
      const candidates = inPlace.has(node.op) ? node.inputs : overwritable(node, i)
      const overwritten = candidates.find((input) => input && fits(input) && uses.get(holder.get(input)!) === 1)
      const taken = overwritten ? holder.get(overwritten) : dead.find(({ value }) => fits(value))
      if (taken) {
        const place = dead.indexOf(taken)
        if (place >= 0) dead.splice(place, 1)
        taken.unread = false
        put(output, taken)
      } else {
        const buffer = { value: output, from: at, to: at, unread: false }
        buffers.push(buffer)
        put(output, buffer)
      }
    })
    for (const input of node.inputs) {
      const buffer = input && holder.get(input)
      if (!buffer) continue
      buffer.to = at
      const left = uses.get(buffer)! - 1
      uses.set(buffer, left)
      if (left === 0) dead.unshift(buffer)
    }
    for (const output of node.outputs) {
      const buffer = holder.get(output)
      if (!buffer) continue
      buffer.to = Math.max(buffer.to, at)
      if (uses.get(buffer) === 0 && !readers.has(output)) {
        buffer.unread = true
        dead.unshift(buffer)
      }
    }
  })
  for (const buffer of buffers) if (buffer.unread) buffer.to = order.length - 1
  return buffers
}

/** Memory that an operation takes for itself while it runs: for a copy; on a GPU, whose types those of 16 bits are, for the steps of a scan that is given their product. */
function workspaceBytes(node: Node): number[] {
  if (node.op === 'Silu' && !isRuntimesOwn(node)) return [bytesOf(node.outputs[0]!)]
  const isScan = node.op.startsWith('SelectiveScan') && elementBytes[node.inputs[0]!.dtype] === 2
  return isScan && node.attributes.stepsGiven !== 1 && !node.inputs[9] ? [bytesOf(node.inputs[0]!)] : []
}
