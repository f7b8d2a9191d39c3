import type { AttributeValue, Node, Value } from '../graph/value.ts'
import type { OnnxAttribute } from './onnx/model.ts'
import type { Lowering } from './standard-ops.ts'

/** What ONNX Runtime may do with the tensors of an operation of domain `zigma`. */
interface NativeOp {
  /** Outputs that may be left out when nothing reads them. */
  optional: readonly number[]
  /**
   * Outputs that may be written over an input of the same shape and type that nothing reads later, as [input, output]: the same pairs as
   * `kMayOverwrite` of the operation in native-ops/src/ops.
   */
  overwrites?: readonly (readonly [input: number, output: number])[]
}

const nativeOps: Readonly<Record<string, NativeOp>> = {
  ScanConv: { optional: [] },
  /** The rows of which dx becomes columns, over those that it is put into. */
  ScanConvGrad: { optional: [], overwrites: [[6, 0]] },
  TimeSteps: { optional: [] },
  SelectiveScan: { optional: [1] },
  /** dDelta over delta, dz over z, du over borders. */
  // prettier-ignore
  SelectiveScanGrad: { optional: [3, 4, 5, 6, 7], overwrites: [[1, 1], [6, 6], [9, 0]] },
  AddNormModulate: { optional: [1, 2, 3, 4, 5] },
  /** dh over dModulated, dResidualIn over dResidual, dy over y. */
  // prettier-ignore
  AddNormModulateGrad: { optional: [1, 2, 3, 4, 5, 8], overwrites: [[8, 0], [10, 1], [13, 7]] },
  GateAdd: { optional: [] },
  /** dy over y. */
  GateAddGrad: { optional: [2], overwrites: [[1, 1]] },
  Attention: { optional: [1] },
  AttentionGrad: { optional: [] },
  GlobalNorm: { optional: [] },
  AdamW: { optional: [] },
  Philox: { optional: [] },
  After: { optional: [] },
  PowerChain: { optional: [] },
}

/** Whether an output of an operation is not even computed: it may be left out, and nothing reads it. */
export function isLeftOut({ op, outputs }: Node, index: number, needed: (value: Value) => boolean): boolean {
  return (nativeOps[op]?.optional.includes(index) ?? false) && !needed(outputs[index]!)
}

/** The inputs that an output of an operation may be written over, the first choice first. */
export function overwritable({ op, inputs }: Node, index: number): Value[] {
  return (nativeOps[op]?.overwrites ?? []).flatMap(([input, output]) => (output === index ? (inputs[input] ?? []) : []))
}

/** A fused operation as one node of domain `zigma`; `needed` tells which values something reads. */
export function nativeOp(op: string, needed: (value: Value) => boolean): Lowering | null {
  if (!nativeOps[op]) return null
  return (e, node: Node) => {
    const outputs = node.outputs.map((value, i) => (isLeftOut(node, i, needed) ? null : value))
    while (outputs.at(-1) === null) outputs.pop()
    const inputs = node.inputs.map((value) => e.name(value))
    while (inputs.at(-1) === '') inputs.pop()
    e.define(outputs, op, inputs, attributesOf(node), 'zigma')
  }
}

/** Whether ONNX Runtime has one operation for what is several in ONNX: x times its sigmoid, which takes one start on a GPU instead of two. */
export const isRuntimesOwn = ({ op, inputs: [x] }: Node): boolean => op === 'Silu' && x!.dtype === 'f32'

/** Such an operation as ONNX Runtime's own node. */
export const runtimesOwn: Lowering = (e, { inputs: [x], outputs }) =>
  e.define(outputs, 'QuickGelu', [e.name(x)], { alpha: { float: 1 } }, 'com.microsoft')

function attributesOf(node: Node): Record<string, OnnxAttribute> {
  return Object.fromEntries(Object.entries(node.attributes).map(([name, value]) => [name, attribute(value)]))
}

function attribute(value: AttributeValue): OnnxAttribute {
  if (typeof value === 'number') return { int: value }
  if (typeof value === 'string') return { string: value }
  return 'float' in value ? value : { ints: value }
}
