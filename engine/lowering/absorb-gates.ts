import { sameShape } from '../graph/shape.ts'
import type { Node, Value } from '../graph/value.ts'
import { readersOf } from './readers.ts'

/** Where AddNormModulate has its gate; and AddNormModulateGrad its gate, and its first result of it. */
const gatePlace = 7
const gradientPlaces = { gate: 12, dGate: 6 } as const

/**
 * A gated sum that goes into a norm is left to the norm, and its gradient to the norm's: the sum would be written and read once more, and started once
 * more. Where something else reads the sum too, the norm writes it beside the rest. The nodes in their order, without those gates.
 */
export function absorbGates(nodes: readonly Node[], outputs: ReadonlySet<Value>): Node[] {
  const readers = readersOf(nodes)
  const place = new Map<Value, number>(nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)))
  const instead = new Map<Node, Node | null>()
  nodes.forEach((node, at) => {
    if (node.op === 'AddNormModulate') absorbGate(node)
    if (node.op === 'AddNormModulateGrad') absorbGradient(node, at)
  })
  return nodes.flatMap((node) => {
    const other = instead.get(node)
    return other === undefined ? [node] : other ? [other] : []
  })

  function absorbGate(norm: Node): void {
    const h = norm.inputs[0]!
    const gate = nodes[place.get(h) ?? -1]
    if (gate?.op !== 'GateAdd' || norm.inputs[gatePlace] || readers.get(h)![0] !== norm) return
    const [n, ...branch] = gate.inputs
    instead.set(gate, null)
    instead.set(norm, {
      ...norm,
      inputs: [n!, ...padded(norm.inputs, gatePlace).slice(1), ...branch],
      attributes: { ...norm.attributes, ...gate.attributes }, // at which column the gate begins
      outputs: [...norm.outputs, h],
    })
  }

  function absorbGradient(norm: Node, at: number): void {
    if (norm.inputs[gradientPlaces.gate]) return
    const dh = norm.outputs[0]!
    const [sum, ...others] = readers.get(dh) ?? []
    const [a, b] = sum?.op === 'Add' && others.length === 0 && !outputs.has(dh) ? sum.inputs : []
    const more = a && b && sameShape(a.shape, b.shape) ? (a === dh ? b : a) : null // a second gradient of the gated sum
    const whole = more ? sum!.outputs[0]! : dh
    const gate = readers.get(whole)?.find(({ op, inputs }) => op === 'GateAddGrad' && inputs[2] === whole)
    if (!gate) return
    const [factor, y, , ...biases] = gate.inputs as Value[]
    // What is computed again for the gate may wait for this very gradient.
    if ([factor, y, more, ...biases].some((value) => value && (place.get(value) ?? -1) > at)) return
    instead.set(gate, null)
    if (more) instead.set(sum!, null)
    instead.set(norm, {
      ...norm,
      inputs: [...padded(norm.inputs, gradientPlaces.gate), factor!, y!, more, ...biases],
      outputs: [whole, ...norm.outputs.slice(1, gradientPlaces.dGate), ...gate.outputs],
    })
  }
}

const padded = (inputs: readonly (Value | null)[], length: number) => Array.from({ length }, (_, i) => inputs[i] ?? null)
