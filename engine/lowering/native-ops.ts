import type { AttributeValue, Node, Value } from '../graph/value.ts'
import type { OnnxAttribute } from './onnx/model.ts'
import type { Lowering } from './standard-ops.ts'

/** Operations of domain `zigma`, and which of their outputs may be left out when nothing reads them. */
const optionalOutputs: Readonly<Record<string, readonly number[]>> = {
  ScanConv: [],
  ScanConvGrad: [],
  SelectiveScan: [1],
  SelectiveScanGrad: [3, 4, 5, 6, 7],
  AddNormModulate: [1, 2, 3, 4, 5],
  AddNormModulateGrad: [1, 2, 3, 4, 5, 8],
  GateAdd: [],
  GateAddGrad: [2],
  Attention: [1],
  AttentionGrad: [],
  GlobalNorm: [],
  AdamW: [],
  Philox: [],
  After: [],
  PowerChain: [],
}

/** Whether an output of an operation is not even computed: it may be left out, and nothing reads it. */
export function isLeftOut({ op, outputs }: Node, index: number, needed: (value: Value) => boolean): boolean {
  return (optionalOutputs[op]?.includes(index) ?? false) && !needed(outputs[index]!)
}

/** A fused operation as one node of domain `zigma`; `needed` tells which values something reads. */
export function nativeOp(op: string, needed: (value: Value) => boolean): Lowering | null {
  if (!optionalOutputs[op]) return null
  return (e, node: Node) => {
    const outputs = node.outputs.map((value, i) => (isLeftOut(node, i, needed) ? null : value))
    while (outputs.at(-1) === null) outputs.pop()
    const inputs = node.inputs.map((value) => e.name(value))
    while (inputs.at(-1) === '') inputs.pop()
    e.define(outputs, op, inputs, attributesOf(node), 'zigma')
  }
}

function attributesOf(node: Node): Record<string, OnnxAttribute> {
  return Object.fromEntries(Object.entries(node.attributes).map(([name, value]) => [name, attribute(value)]))
}

function attribute(value: AttributeValue): OnnxAttribute {
  if (typeof value === 'number') return { int: value }
  if (typeof value === 'string') return { string: value }
  return 'float' in value ? value : { ints: value }
}
