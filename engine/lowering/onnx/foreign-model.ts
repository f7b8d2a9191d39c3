import { StudioError } from '#contracts/errors.ts'
import type { DType } from '../../graph/value.ts'
import { writeType, type OnnxPort } from './model.ts'
import { ProtobufWriter } from './protobuf.ts'
import { ProtobufError, readFields, type Field } from './protobuf-reader.ts'

/** A model from a file that is not to be trusted, looked through before any library sees it. */
export interface ForeignModel {
  readonly bytes: Uint8Array
  /** What it is called when it is spoken of. */
  readonly name: string
  /** Inputs that are not filled by the file itself. A size that is not fixed is its symbolic name, '' where it has none. */
  readonly inputs: readonly ForeignPort[]
  readonly outputs: readonly ForeignPort[]
}

/** Null where the model does not say, or says a type that the engine has no name for. */
export interface ForeignPort {
  name: string
  dtype: DType | null
  shape: readonly (number | string)[] | null
}

const limits = { nodes: 100_000, depth: 16, tensors: 100_000 } as const
const knownDomains = ['', 'ai.onnx', 'com.microsoft']
/** Operations whose results differ from run to run. */
const random = ['RandomNormal', 'RandomUniform', 'RandomUniformLike', 'Multinomial', 'Bernoulli']
const randomLike = 'RandomNormalLike'
const dtypes: Readonly<Record<number, DType>> = { 1: 'f32', 6: 'i32', 7: 'i64', 9: 'bool', 10: 'f16', 11: 'f64', 16: 'bf16' }
const text = new TextDecoder()

// Field numbers of onnx.proto.
const model = { graph: 7, functions: 25 } as const
const graph = { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 } as const
const node = { input: 1, output: 2, op: 4, attribute: 5, domain: 7 } as const
const attribute = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 } as const
const tensor = { name: 8, externalData: 13, location: 14 } as const
const sparse = { values: 1, indices: 2 } as const
const functions = { node: 7, domain: 10 } as const

/**
 * Reads what a model asks for. Nothing that it names outside itself is ever opened: weights in other files, operations of other libraries and
 * random numbers are refused.
 *
 * @throws StudioError corrupt-file for what is not a model, unsafe-file for a model that breaks these rules.
 */
export function readForeignModel(bytes: Uint8Array, name: string): ForeignModel {
  return guarded(name, () => {
    const fields = [...readFields(bytes)]
    const graphs = fields.filter(({ number, kind }) => number === model.graph && kind === 'bytes')
    if (graphs.length !== 1) throw new ProtobufError(`it holds ${graphs.length} graphs`)
    const own = fields.filter(({ number }) => number === model.functions)
    const domains = new Set([...knownDomains, ...own.map((one) => textOf(one.bytes, functions.domain))])
    const check = new Check(name, domains)
    for (const one of own) for (const field of readFields(one.bytes)) if (field.number === functions.node) check.node(field.bytes, 1)
    const filled = check.graph(graphs[0]!.bytes, 0)
    const ports = (number: number) =>
      [...readFields(graphs[0]!.bytes)].filter((field) => field.number === number).map((field) => readPort(field.bytes))
    return { bytes, name, inputs: ports(graph.input).filter((port) => !filled.has(port.name)), outputs: ports(graph.output) }
  })
}

/**
 * The same model for inputs of one size, so that the sizes of all that follows are known before it runs. Noise that it would add
 * (`RandomNormalLike`) is left out: what it gives for a picture is the same each time.
 */
export function withInput({ bytes, name }: ForeignModel, port: OnnxPort): Uint8Array {
  return guarded(name, () => {
    const writer = new ProtobufWriter()
    for (const field of readFields(bytes)) {
      if (field.number === model.graph) writer.bytes(model.graph, withGraphInput(field.bytes, port))
      else writer.raw(bytes.subarray(field.start, field.end))
    }
    return writer.finish()
  })
}

function withGraphInput(bytes: Uint8Array, port: OnnxPort): Uint8Array {
  const writer = new ProtobufWriter()
  for (const field of readFields(bytes)) {
    if (field.number === graph.input && textOf(field.bytes, 1) === port.name) writer.message(graph.input, (w) => writeType(w, port))
    else if (field.number === graph.node && textOf(field.bytes, node.op) === randomLike)
      writer.message(graph.node, (w) => writeZeros(w, field))
    else writer.raw(bytes.subarray(field.start, field.end))
  }
  return writer.finish()
}

/** x - x in the place of noise like x. */
function writeZeros(writer: ProtobufWriter, { bytes }: Field): void {
  const of = (number: number) => [...readFields(bytes)].filter((field) => field.number === number).map((field) => text.decode(field.bytes))
  const [like] = of(node.input)
  writer.string(node.input, like!).string(node.input, like!).string(node.output, of(node.output)[0]!).string(node.op, 'Sub')
}

class Check {
  readonly #name: string
  readonly #domains: ReadonlySet<string>
  #nodes = 0
  #tensors = 0

  constructor(name: string, domains: ReadonlySet<string>) {
    this.#name = name
    this.#domains = domains
  }

  /** Names of what the graph fills itself. */
  graph(bytes: Uint8Array, depth: number): Set<string> {
    if (depth > limits.depth) this.#refuse(`its graphs lie more than ${limits.depth} deep in one another`)
    const filled = new Set<string>()
    for (const field of readFields(bytes)) {
      if (field.number === graph.node) this.node(field.bytes, depth)
      else if (field.number === graph.initializer) filled.add(this.#tensor(field.bytes))
      else if (field.number === graph.sparseInitializer) filled.add(this.#sparse(field.bytes))
    }
    return filled
  }

  node(bytes: Uint8Array, depth: number): void {
    if (++this.#nodes > limits.nodes) this.#refuse(`it has more than ${limits.nodes} operations`)
    const [op, domain] = [textOf(bytes, node.op), textOf(bytes, node.domain)]
    if (!this.#domains.has(domain)) this.#refuse(`it needs the operation ${shown(op)} of a library of its own, ${shown(domain)}`)
    if (random.includes(op) || (op === randomLike && depth > 0))
      this.#refuse(`its operation ${op} gives other numbers each time. Export it without sampling (the mean or the moments)`)
    for (const field of readFields(bytes)) if (field.number === node.attribute) this.#attribute(field.bytes, depth)
  }

  #attribute(bytes: Uint8Array, depth: number): void {
    for (const field of readFields(bytes)) {
      if (field.kind !== 'bytes') continue
      if (field.number === attribute.tensor || field.number === attribute.tensors) this.#tensor(field.bytes)
      else if (field.number === attribute.sparseTensor || field.number === attribute.sparseTensors) this.#sparse(field.bytes)
      else if (field.number === attribute.graph || field.number === attribute.graphs) this.graph(field.bytes, depth + 1)
    }
  }

  #tensor(bytes: Uint8Array): string {
    if (++this.#tensors > limits.tensors) this.#refuse(`it has more than ${limits.tensors} tensors`)
    let name = ''
    for (const field of readFields(bytes)) {
      if (field.number === tensor.name) name = text.decode(field.bytes)
      if (field.number === tensor.externalData || (field.number === tensor.location && field.value !== 0))
        this.#refuse('its weights lie in another file. Save it again as one file')
    }
    return name
  }

  #sparse(bytes: Uint8Array): string {
    let name = ''
    for (const field of readFields(bytes)) {
      if (field.number === sparse.values) name = this.#tensor(field.bytes)
      else if (field.number === sparse.indices) this.#tensor(field.bytes)
    }
    return name
  }

  #refuse(what: string): never {
    throw new StudioError('unsafe-file', `${shown(this.#name)} is not used: ${what}.`)
  }
}

function readPort(bytes: Uint8Array): ForeignPort {
  const inside = (message: Uint8Array | undefined, number: number) =>
    message && [...readFields(message)].find((field) => field.number === number)
  const type = inside(inside(bytes, 2)?.bytes, 1)?.bytes
  const shape = inside(type, 2)?.bytes
  return {
    name: textOf(bytes, 1),
    dtype: dtypes[inside(type, 1)?.value ?? 0] ?? null,
    shape:
      shape === undefined
        ? null
        : [...readFields(shape)].filter(({ number }) => number === 1).map((axis) => inside(axis.bytes, 1)?.value ?? textOf(axis.bytes, 2)),
  }
}

/** The text of a field; '' where there is none. */
function textOf(bytes: Uint8Array, number: number): string {
  for (const field of readFields(bytes)) if (field.number === number && field.kind === 'bytes') return text.decode(field.bytes)
  return ''
}

/** A name from a file, as it may stand in a sentence. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}

function guarded<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof ProtobufError)) throw cause
    throw new StudioError('corrupt-file', `${shown(name)} is not an ONNX model: ${cause.message}. Copy it again or export it anew.`, {
      cause,
    })
  }
}
