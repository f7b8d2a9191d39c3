import type { NativeRuntime } from '#native-ops/binding.ts'
import type { ConstantData, Graph } from '../graph/value.ts'
import type { Form } from '../lowering/lower.ts'
import { Buffers } from './buffers.ts'
import { decode, encode } from './elements.ts'
import { Program } from './program.ts'

/** Runs a graph once: values of its inputs and parameters by name -> values of its outputs by name, as numbers in the graph's float type. */
export async function evaluate(
  runtime: NativeRuntime,
  g: Graph,
  feeds: Readonly<Record<string, ConstantData>>,
  form: Form = 'native',
): Promise<Record<string, Float32Array | Float64Array>> {
  using program = await Program.compile(runtime, g, form)
  using inputs = new Buffers(runtime, program.reads)
  using outputs = new Buffers(runtime, program.writes)
  for (const [name, { dtype }] of program.reads) {
    const data = feeds[name]
    if (!data) throw new TypeError(`evaluate: no values were given for "${name}"`)
    inputs.write(name, encode(data, dtype))
  }
  await program.bind(inputs.tensors, outputs.tensors).run()
  return Object.fromEntries(
    [...program.writes].map(([name, { dtype }]) => {
      return [name, decode(outputs.get(name).read(), dtype)]
    }),
  )
}
