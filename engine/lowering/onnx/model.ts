import type { ConstantData, DType, Shape } from '../../graph/value.ts'
import { ProtobufWriter } from './protobuf.ts'

/** The ONNX operator set that graphs are written in, and the format version that goes with it. */
export const opset = 21
const irVersion = 10

export type OnnxAttribute = { int: number } | { float: number } | { string: string } | { ints: readonly number[] } | { graph: OnnxGraph }

/** '' is ONNX's own set, 'com.microsoft' what ONNX Runtime has beside it, 'zigma' ours. */
export type Domain = '' | 'com.microsoft' | 'zigma'

export interface OnnxNode {
  op: string
  domain: Domain
  /** '' stands for an optional input or output that is not there. */
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Readonly<Record<string, OnnxAttribute>>
}

export interface OnnxTensor {
  name: string
  dtype: DType
  shape: Shape
}

/** An input or output. A size that is not fixed is its symbolic name. */
export interface OnnxPort extends Omit<OnnxTensor, 'shape'> {
  shape: readonly (number | string)[]
}

export interface OnnxGraph {
  nodes: OnnxNode[]
  inputs: OnnxTensor[]
  outputs: OnnxTensor[]
  initializers: (OnnxTensor & { data: ConstantData })[]
  /** Types and shapes of everything between. */
  values: OnnxTensor[]
}

/** A graph whose inputs and outputs may have sizes that are not fixed. */
export interface OpenGraph extends Omit<OnnxGraph, 'inputs' | 'outputs'> {
  inputs: readonly OnnxPort[]
  outputs: readonly OnnxPort[]
}

const elementTypes: Record<DType, number> = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f16: 10, f64: 11, bf16: 16 }
const attributeTypes = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const

/** The graph as the bytes of an ONNX ModelProto. */
export function encodeModel(graph: OpenGraph): Uint8Array {
  const model = new ProtobufWriter().varint(1, irVersion).string(2, 'zigma-studio')
  model.message(7, (w) => writeGraph(w, graph))
  const versions: [Domain, number][] = [
    ['', opset],
    ['zigma', 1],
  ]
  if (graph.nodes.some(({ domain }) => domain === 'com.microsoft')) versions.push(['com.microsoft', 1])
  for (const [domain, version] of versions) model.message(8, (w) => w.string(1, domain).varint(2, version))
  return model.finish()
}

function writeGraph(w: ProtobufWriter, graph: OpenGraph): void {
  graph.nodes.forEach((node, i) => w.message(1, (n) => writeNode(n, node, i)))
  w.string(2, 'zigma')
  for (const tensor of graph.initializers) {
    w.message(5, (t) => {
      t.packed(1, tensor.shape).varint(2, elementTypes[tensor.dtype]).string(8, tensor.name)
      t.bytes(9, new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength))
    })
  }
  for (const tensor of graph.inputs) w.message(11, (t) => writeType(t, tensor))
  for (const tensor of graph.outputs) w.message(12, (t) => writeType(t, tensor))
  for (const tensor of graph.values) w.message(13, (t) => writeType(t, tensor))
}

function writeNode(w: ProtobufWriter, { op, domain, inputs, outputs, attributes }: OnnxNode, index: number): void {
  for (const name of inputs) w.string(1, name)
  for (const name of outputs) w.string(2, name)
  w.string(3, `${op}_${index}`).string(4, op)
  for (const [name, value] of Object.entries(attributes)) {
    w.message(5, (a) => {
      a.string(1, name)
      if ('float' in value) a.float(2, value.float).varint(20, attributeTypes.float)
      else if ('int' in value) a.varint(3, value.int).varint(20, attributeTypes.int)
      else if ('string' in value) a.string(4, value.string).varint(20, attributeTypes.string)
      else if ('ints' in value) a.packed(8, value.ints).varint(20, attributeTypes.ints)
      else a.message(6, (g) => writeGraph(g, value.graph)).varint(20, attributeTypes.graph)
    })
  }
  if (domain) w.string(7, domain)
}

/** A ValueInfoProto. */
export function writeType(w: ProtobufWriter, { name, dtype, shape }: OnnxPort): void {
  w.string(1, name).message(2, (type) =>
    type.message(1, (tensor) =>
      tensor.varint(1, elementTypes[dtype]).message(2, (s) => {
        for (const size of shape) s.message(1, (axis) => (typeof size === 'number' ? axis.varint(1, size) : axis.string(2, size)))
      }),
    ),
  )
}
