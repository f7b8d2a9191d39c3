import { example, spread } from './bench-inputs.ts'
import { sizeOf } from './graph/shape.ts'
import type { Node } from './graph/value.ts'
import { hyperValues } from './optim/train-step.ts'

/** The bytes of a tensor that an operation takes at a place: any numbers where it takes any, else such as it meets in a network. */
export function legalInput(node: Node, place: number): ArrayBufferView {
  const { dtype, shape } = node.inputs[place]!
  const count = sizeOf(shape)
  if (node.op === 'AdamW' && place === 0) return hyper
  if (dtype === 'i32' && isPermutation(node, place)) return Int32Array.from({ length: count }, (_, i) => count - 1 - i)
  if (dtype === 'i32') return example(dtype, count, indexLimit(node, place))
  const range = rangeOf(node, place)
  return range ? spread(dtype, count, range) : example(dtype, count)
}

type Range = readonly [low: number, high: number]

const positive: Range = [0.5, 2]
const one: Range = [1, 1]
/** Time steps as a network begins with, then what they are before the softplus, and its decays: how far these lie apart decides how a long scan finds its ends. */
const steps: Range = [0.001, 0.1]
const scanRanges: Readonly<Record<number, Range>> = { 1: [-6.9, -2.3], 2: [-16, -1] }

/** Floats that may not be any number, by operation and place. */
const ranges: Readonly<Record<string, Readonly<Record<number, Range>>>> = {
  SelectiveScan: scanRanges,
  SelectiveScanGrad: scanRanges,
  AddNormModulateGrad: { 7: positive }, // one over the standard deviation
  Log: { 0: positive },
  Sqrt: { 0: positive },
  Reciprocal: { 0: positive },
  Div: { 1: positive },
}

function rangeOf({ op, inputs, attributes }: Node, place: number): Range | null {
  if (op.startsWith('SelectiveScan') && place === 1 && (attributes.deltaSoftplus === 0 || attributes.stepsGiven === 1)) return steps
  if (op === 'AttentionGrad' && place === 4) {
    // The logarithm of the sum of as many powers as there are keys, of scores of size 1: with another, shares would grow beyond all bounds.
    const keys = Math.log(inputs[1]!.shape[1]!)
    return [keys, keys + 1]
  }
  if (op === 'AdamW') {
    const group = Math.floor((place - 3) / (attributes.count as number)) // weights, gradients, both moments, average
    return place < 3 ? one : group === 3 ? [0.1, 1] : null
  }
  return ranges[op]?.[place] ?? null
}

function isPermutation({ op }: Node, place: number): boolean {
  return (op.startsWith('ScanConv') && place === 1) || (op.startsWith('SelectiveScan') && place === 8)
}

/** Indices are below this. */
function indexLimit({ op, inputs, attributes }: Node, place: number): number | undefined {
  if (op === 'Gather' && place === 1) return inputs[0]!.shape[0]!
  if (op === 'ScatterAdd' && place === 1) return attributes.rows as number
  return undefined
}

const hyper = hyperValues({
  learningRate: 1e-4,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  emaDecay: 0.9999,
  clipNorm: 2,
  step: 1,
})
