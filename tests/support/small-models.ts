import { encodeModel } from '#engine/lowering/onnx/model.ts'
import type { OnnxNode, OnnxPort, OnnxTensor } from '#engine/lowering/onnx/model.ts'

type Node = Pick<OnnxNode, 'op' | 'inputs' | 'outputs'> & Partial<OnnxNode>

/** An ONNX model without initializers, for tests of what runs models. */
export function smallModel(nodes: readonly Node[], inputs: readonly OnnxPort[], outputs: readonly OnnxPort[]): Uint8Array {
  return encodeModel({
    nodes: nodes.map((node) => ({ domain: '', attributes: {}, ...node })),
    inputs: [...inputs],
    outputs: [...outputs],
    initializers: [],
    values: [],
  })
}

const square = (name: string, size: number): OnnxTensor => ({ name, dtype: 'f32', shape: [size, size] })

/** sum = a + b, all [size, size]. */
export function additionModel(size: number): Uint8Array {
  return smallModel([{ op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] }], [square('a', size), square('b', size)], [square('sum', size)])
}

/** y = x · w · w · … (`count` times), all [size, size]: takes as long as one likes and can be stopped between products. */
export function longModel(size: number, count: number): Uint8Array {
  const nodes = Array.from({ length: count }, (_, i) => ({
    op: 'MatMul',
    inputs: [i === 0 ? 'x' : `x${i}`, 'w'],
    outputs: [i === count - 1 ? 'y' : `x${i + 1}`],
  }))
  return smallModel(nodes, [square('x', size), square('w', size)], [square('y', size)])
}

/** out = n + gate * y with the native op GateAdd; n, y, out are [batch, seqLen, dim], gate is [batch, dim]. */
export function gateAddModel({ batch, seqLen, dim }: { batch: number; seqLen: number; dim: number }): Uint8Array {
  const tokens = (name: string): OnnxTensor => ({ name, dtype: 'f32', shape: [batch, seqLen, dim] })
  return smallModel(
    [{ op: 'GateAdd', domain: 'zigma', inputs: ['n', 'gate', 'y'], outputs: ['out'] }],
    [tokens('n'), { name: 'gate', dtype: 'f32', shape: [batch, dim] }, tokens('y')],
    [tokens('out')],
  )
}

/** picked = list[index] for a list of `size` elements. Fails while running when there is no such element. */
export function pickModel(size: number): Uint8Array {
  return smallModel(
    [{ op: 'Gather', inputs: ['list', 'index'], outputs: ['picked'] }],
    [
      { name: 'list', dtype: 'f32', shape: [size] },
      { name: 'index', dtype: 'i64', shape: [1] },
    ],
    [{ name: 'picked', dtype: 'f32', shape: [1] }],
  )
}
