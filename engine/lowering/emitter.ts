import type { ConstantData, DType, Graph, Shape, Value } from '../graph/value.ts'
import type { Domain, OnnxAttribute, OnnxGraph, OnnxNode } from './onnx/model.ts'

/** Collects ONNX nodes while a graph is lowered: names values, shares small constants, remembers types. */
export class Emitter {
  readonly graph: OnnxGraph = { nodes: [], inputs: [], outputs: [], initializers: [], values: [] }
  readonly float: DType
  readonly sumsInOrder: boolean
  readonly #names = new Map<Value, string>()
  /** Names that the graph's author gave. */
  readonly #given: ReadonlySet<string>
  readonly #shared = new Map<string, string>()
  #next = 0

  constructor(g: Graph) {
    this.float = g.float
    this.sumsInOrder = g.sumsInOrder
    this.#given = new Set([...g.inputs.keys(), ...g.parameters.keys(), ...g.outputs.keys()])
    for (const [name, value] of [...g.inputs, ...g.parameters]) this.#names.set(value, name)
  }

  /** The name of a value, '' for one that is not there. Constants become initializers when first named. */
  name(value: Value | null | undefined): string {
    if (!value) return ''
    let name = this.#names.get(value)
    if (name === undefined) {
      name = this.#unused('v')
      this.#names.set(value, name)
    }
    return name
  }

  rename(value: Value, name: string): void {
    this.#names.set(value, name)
  }

  /** A value that only this lowering knows. */
  fresh(): string {
    return this.#unused('t')
  }

  /** A node whose outputs are values of the graph. */
  define(
    outputs: readonly (Value | null)[],
    op: string,
    inputs: readonly string[],
    attributes: OnnxNode['attributes'] = {},
    domain: Domain = '',
  ): void {
    this.graph.nodes.push({ op, domain, inputs, outputs: outputs.map((value) => this.name(value)), attributes })
  }

  /** A node with one output that only this lowering knows; gives its name. */
  emit(op: string, inputs: readonly string[], attributes: OnnxNode['attributes'] = {}): string {
    const name = this.fresh()
    this.graph.nodes.push({ op, domain: '', inputs, outputs: [name], attributes })
    return name
  }

  ints(values: readonly number[], shape: Shape = [values.length]): string {
    return this.constant(BigInt64Array.from(values, BigInt), shape, 'i64')
  }

  scalar(value: number): string {
    return this.constant(this.float === 'f64' ? Float64Array.of(value) : Float32Array.of(value), [], this.float)
  }

  constant(data: ConstantData, shape: Shape, dtype: DType): string {
    const key = data.length <= 16 ? `${dtype} ${shape.join(',')}: ${[...data].join(' ')}` : null
    const known = key === null ? undefined : this.#shared.get(key)
    if (known !== undefined) return known
    const name = this.#unused('c')
    this.graph.initializers.push({ name, dtype, shape, data })
    if (key !== null) this.#shared.set(key, name)
    return name
  }

  #unused(letter: string): string {
    let name = `${letter}${this.#next++}`
    while (this.#given.has(name)) name = `${letter}${this.#next++}`
    return name
  }
}

export const int = (value: number): OnnxAttribute => ({ int: value })
export const ints = (values: readonly number[]): OnnxAttribute => ({ ints: values })
