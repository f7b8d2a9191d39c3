import { gradientRules } from './autodiff/rules.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import { sizeOf } from './graph/shape.ts'
import { wideOf, type ConstantData, type DType, type Value } from './graph/value.ts'
import { kernelCases, longKernelCases, type KernelCase } from './kernel-cases.ts'
import { normal, uniform } from './random/philox.ts'
import { relativeError } from './relative-error.ts'
import { decode, encode } from './runtime/elements.ts'
import { evaluate } from './runtime/evaluate.ts'
import type { NativeRuntime } from './runtime/native.ts'

/** How one operation on a device compares with the double-precision reference: the worst of its outputs and gradients. */
export interface KernelCheck {
  operation: string
  dtype: DType
  /** Norm of the difference over norm of the reference. */
  error: number
  tolerance: number
  worst: string
  passes: boolean
}

/** What rounding alone explains: of the elements, of what is kept of a state, of sums of many. */
export const kernelTolerance: Readonly<Record<'f32' | 'f16' | 'bf16', number>> = { f32: 2e-5, f16: 4e-3, bf16: 1.5e-2 }

/**
 * Every fused operation and its gradient on `device`, with numbers never used before for each `seed`, against the reference in float64 on `host`; or, where
 * `long` ones are asked for, long scans alone. Inputs are rounded to the checked type first, so that both compute from the same numbers.
 */
export async function checkKernels(
  host: NativeRuntime,
  device: NativeRuntime,
  { dtypes, seed, long = false }: { dtypes: readonly ('f32' | 'f16' | 'bf16')[]; seed: number; long?: boolean },
): Promise<KernelCheck[]> {
  const checks: KernelCheck[] = []
  for (const one of long ? longKernelCases : kernelCases)
    for (const dtype of dtypes) checks.push(await checkKernel(host, device, one, dtype, seed))
  return checks
}

async function checkKernel(
  host: NativeRuntime,
  device: NativeRuntime,
  { operation, operands, drawn = false, build }: KernelCase,
  dtype: 'f32' | 'f16' | 'bf16',
  seed: number,
): Promise<KernelCheck> {
  const assemble = (float: DType, tokens: DType, scanChunk: number) => {
    const g = new GraphBuilder(float, { compute: tokens, scanChunk })
    const x = Object.fromEntries(
      Object.entries(operands).map(([name, { shape, wide }]) => [name, g.input(name, shape, wide ? wideOf(tokens) : tokens)]),
    )
    const { node, ...y } = build(g, x)
    g.output('result', node!.outputs[0]!)
    const gradients = new Map<Value, Value>()
    node!.outputs.forEach((output, i) => {
      if (!drawn && isGraded(operation, i)) gradients.set(output, g.input(`dy${i}`, output.shape, output.dtype))
    })
    for (const one of g.nodes.slice().reverse()) {
      const dy = one.outputs.map((output) => gradients.get(output) ?? null)
      if (dy.every((gradient) => gradient === null)) continue
      if (one.op === 'Gemm') {
        g.output('gradient of the product', dy[0]!) // what is made of it is no operation of ours
        continue
      }
      gradientRules[one.op]!(g, one, dy).forEach((gradient, i) => gradient && gradients.set(one.inputs[i]!, gradient))
    }
    for (const [name, value] of Object.entries(x)) if (gradients.has(value)) g.output(`gradient of ${name}`, gradients.get(value)!)
    return { g, shapes: new Map([...g.inputs].map(([name, value]) => [name, value])), y }
  }
  const tested = assemble('f32', dtype, 16)
  const feeds: Record<string, ConstantData> = {}
  let stream = 0
  for (const [name, value] of tested.shapes) {
    const { low, high } = operands[name] ?? {}
    const count = sizeOf(value.shape)
    const drawn = low === undefined ? normal(count, { seed, stream: ++stream }) : uniform(count, { seed, stream: ++stream })
    const numbers = low === undefined ? drawn : drawn.map((u) => low + u * (high! - low))
    feeds[name] = decode(new Uint8Array(copyOf(encode(numbers, value.dtype))), value.dtype)
  }
  const reference = await evaluate(host, assemble('f64', 'f64', 32).g, feeds)
  const actual = await evaluate(device, tested.g, feeds)
  let [error, worst] = [0, 'result']
  for (const [name, expected] of Object.entries(reference)) {
    const one = relativeError(actual[name]!, expected)
    if (!(one <= error)) [error, worst] = [one, name]
  }
  const tolerance = kernelTolerance[dtype]
  return { operation, dtype, error, tolerance, worst, passes: error <= tolerance }
}

/** The norm hands on three tensors and a gated sum; the others one. */
const isGraded = (operation: string, output: number): boolean =>
  output === 0 || (operation.startsWith('AddNorm') && [1, 2, 5].includes(output))

function copyOf(view: ArrayBufferView): ArrayBuffer {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer
}
