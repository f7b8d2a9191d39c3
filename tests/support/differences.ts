import { openRuntime } from '#native-ops/load.ts'
import { backward } from '#engine/autodiff/backward.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { sizeOf } from '#engine/graph/shape.ts'
import type { Shape, Value } from '#engine/graph/value.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'

export const runtime = openRuntime({ threads: 2 })

/** Numbers that are the same at every run: a small congruential generator, mapped to [low, high). */
export function numbers(
  count: number,
  { seed = 1, low = -1, high = 1 }: { seed?: number; low?: number; high?: number } = {},
): Float64Array {
  let state = seed * 2654435761 + 12345
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return low + ((high - low) * state) / 2 ** 32
  })
}

export interface Operand {
  shape: Shape
  /** Range of the values; default [-1, 1). */
  low?: number
  high?: number
}

export type Operation = (g: GraphBuilder, inputs: Record<string, Value>) => Value | Value[]

/**
 * The largest error of all gradients of an operation, relative to the largest gradient: autodiff against central differences of the
 * operation itself, in float64. The outputs are made one number by fixed random weights.
 */
export async function gradientError(operands: Record<string, Operand>, operation: Operation): Promise<number> {
  const data = Object.fromEntries(
    Object.entries(operands).map(([name, { shape, ...range }], i) => [name, numbers(sizeOf(shape), { seed: i + 1, ...range })]),
  )
  const build = (withGradients: boolean): GraphBuilder => {
    const g = new GraphBuilder('f64')
    const inputs = Object.fromEntries(Object.entries(operands).map(([name, { shape }]) => [name, g.parameter(name, shape)]))
    const outputs = [operation(g, inputs)].flat()
    const weighted = outputs.map((y, i) =>
      g.sum(
        g.mul(y, g.floats(numbers(sizeOf(y.shape), { seed: 100 + i }), y.shape)),
        y.shape.map((_, axis) => axis),
      ),
    )
    const loss = weighted.reduce((sum, term) => g.add(sum, term))
    g.output('loss', loss)
    if (withGradients) backward(g, loss, Object.values(inputs)).forEach((gradient, i) => g.output(`d.${Object.keys(inputs)[i]}`, gradient))
    return g
  }

  const analytic = await evaluate(runtime, build(true), data)
  let worst = 0
  let largest = 1e-12
  const h = 1e-5
  for (const [name, values] of Object.entries(data)) {
    const gradient = analytic[`d.${name}`]!
    const probes = values.length <= 24 ? [...values.keys()] : Array.from({ length: 24 }, (_, i) => Math.floor((i * values.length) / 24))
    for (const i of probes) {
      const at = async (x: number) => (await evaluate(runtime, build(false), { ...data, [name]: values.with(i, x) })).loss![0]!
      const numeric = ((await at(values[i]! + h)) - (await at(values[i]! - h))) / (2 * h)
      worst = Math.max(worst, Math.abs(numeric - gradient[i]!))
      largest = Math.max(largest, Math.abs(numeric))
    }
  }
  return worst / largest
}
