import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProtobufWriter } from '#engine/lowering/onnx/protobuf.ts'

/** A size, or the name of one that is not fixed. */
type Size = number | string
interface Value {
  name: string
  type: 'f32' | 'i64'
  shape: Size[]
}
interface Constant extends Value {
  data: Float32Array | BigInt64Array
}
interface Node {
  op: string
  inputs: string[]
  outputs: string[]
  domain?: string
  ints?: Record<string, number[]>
  int?: Record<string, number>
}

const elementTypes = { f32: 1, i64: 7 }

/** A model with sizes that are not fixed, as other programs export them (the studio's own writer fixes all). */
export function foreignModel(
  nodes: readonly Node[],
  {
    inputs,
    outputs,
    constants = [],
    externalData = false,
  }: { inputs: Value[]; outputs: Value[]; constants?: Constant[]; externalData?: boolean },
): Uint8Array {
  const typed = (w: ProtobufWriter, { name, type, shape }: Value) =>
    w.string(1, name).message(2, (t) =>
      t.message(1, (tensor) =>
        tensor.varint(1, elementTypes[type]).message(2, (s) => {
          for (const size of shape) s.message(1, (d) => (typeof size === 'number' ? d.varint(1, size) : d.string(2, size)))
        }),
      ),
    )
  return new ProtobufWriter()
    .varint(1, 8)
    .message(7, (graph) => {
      for (const { op, inputs: ins, outputs: outs, domain, ints = {}, int = {} } of nodes)
        graph.message(1, (n) => {
          for (const name of ins) n.string(1, name)
          for (const name of outs) n.string(2, name)
          n.string(4, op)
          for (const [name, value] of Object.entries(ints)) n.message(5, (a) => a.string(1, name).packed(8, value).varint(20, 7))
          for (const [name, value] of Object.entries(int)) n.message(5, (a) => a.string(1, name).varint(3, value).varint(20, 2))
          if (domain) n.string(7, domain)
        })
      graph.string(2, 'tiny')
      for (const { name, type, shape, data } of constants)
        graph.message(5, (t) => {
          t.packed(1, shape as number[])
            .varint(2, elementTypes[type])
            .string(8, name)
          if (externalData) t.message(13, (entry) => entry.string(1, 'location').string(2, '../../secret')).varint(14, 1)
          else t.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        })
      for (const input of inputs) graph.message(11, (w) => typed(w, input))
      for (const output of outputs) graph.message(12, (w) => typed(w, output))
    })
    .message(8, (w) => w.string(1, '').varint(2, 17))
    .message(8, (w) => w.string(1, 'com.example').varint(2, 1))
    .finish()
}

/** A tagger whose three general tags are the means of blue, green and red, 0 to 1; its character is blue, its ratings red and green. */
export function writeTagger(folder: string, side = 16): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'selected_tags.csv'),
    'tag_id,name,category,count\n1,mostly_blue,0,9\n2,"green, or so",0,9\n3,mostly_red,0,9\n4,sky_(hero),4,9\n5,calm,9,9\n6,loud,9,9\n',
  )
  const order = BigInt64Array.from([0n, 1n, 2n, 0n, 1n, 2n])
  writeFileSync(
    join(folder, 'model.onnx'),
    foreignModel(
      [
        { op: 'ReduceMean', inputs: ['input'], outputs: ['means'], ints: { axes: [1, 2] }, int: { keepdims: 0 } },
        { op: 'Div', inputs: ['means', 'full'], outputs: ['shares'] },
        { op: 'Gather', inputs: ['shares', 'order'], outputs: ['output'], int: { axis: 1 } },
      ],
      {
        inputs: [{ name: 'input', type: 'f32', shape: ['batch', side, side, 3] }],
        outputs: [{ name: 'output', type: 'f32', shape: ['batch', 6] }],
        constants: [
          { name: 'full', type: 'f32', shape: [1], data: new Float32Array([255]) },
          { name: 'order', type: 'i64', shape: [6], data: order },
        ],
      },
    ),
  )
}

export const tinyWords = ['[PAD]', '[CLS]', '[SEP]', 'a', 'red', 'blue', 'thing', '##s', '.']

/**
 * A captioner of a picture's mean color. The encoder gives the means of red and blue of [0, 1] pixels; the decoder's likeliest next token is
 * a fixed one for each token that was last, but that after "a" it is "red" or "blue", whichever is more: "a red things." or "a blue things."
 */
export function writeCaptioner(folder: string, { names = ['vision_model.onnx', 'text_decoder_model.onnx'], loops = false } = {}): void {
  mkdirSync(folder, { recursive: true })
  const side = 8
  const write = (name: string, content: string | Uint8Array) => writeFileSync(join(folder, name), content)
  write(
    'config.json',
    JSON.stringify({ model_type: 'vision-encoder-decoder', decoder_start_token_id: 1, eos_token_id: 2, vocab_size: tinyWords.length }),
  )
  write('preprocessor_config.json', JSON.stringify({ size: { height: side, width: side }, do_normalize: false }))
  write('vocab.txt', `${tinyWords.join('\n')}\n`)
  write(
    names[0]!,
    foreignModel(
      [
        { op: 'ReduceMean', inputs: ['pixel_values'], outputs: ['means'], ints: { axes: [2, 3] }, int: { keepdims: 0 } },
        { op: 'Reshape', inputs: ['means', 'shape'], outputs: ['last_hidden_state'] },
      ],
      {
        inputs: [{ name: 'pixel_values', type: 'f32', shape: ['batch', 3, 'height', 'width'] }],
        outputs: [{ name: 'last_hidden_state', type: 'f32', shape: ['batch', 1, 3] }],
        constants: [{ name: 'shape', type: 'i64', shape: [3], data: BigInt64Array.from([1n, 1n, 3n]) }],
      },
    ),
  )
  // What follows each token; after "a" nothing is fixed and the colors decide.
  const after = [0, 3, 2, -1, 6, 6, 7, 8, loops ? 3 : 2]
  const table = new Float32Array(tinyWords.length ** 2)
  for (const [token, next] of after.entries()) if (next >= 0) table[token * tinyWords.length + next] = 100
  const colors = new Float32Array(3 * tinyWords.length)
  colors[4] = 1 // red -> "red"
  colors[2 * tinyWords.length + 5] = 1 // blue -> "blue"
  write(
    names[1]!,
    foreignModel(
      [
        { op: 'Gather', inputs: ['table', 'input_ids'], outputs: ['follows'], int: { axis: 0 } },
        { op: 'MatMul', inputs: ['encoder_hidden_states', 'colors'], outputs: ['seen'] },
        { op: 'Add', inputs: ['follows', 'seen'], outputs: ['logits'] },
      ],
      {
        inputs: [
          { name: 'input_ids', type: 'i64', shape: ['batch', 'length'] },
          { name: 'encoder_hidden_states', type: 'f32', shape: ['batch', 'patches', 3] },
        ],
        outputs: [{ name: 'logits', type: 'f32', shape: ['batch', 'length', tinyWords.length] }],
        constants: [
          { name: 'table', type: 'f32', shape: [tinyWords.length, tinyWords.length], data: table },
          { name: 'colors', type: 'f32', shape: [3, tinyWords.length], data: colors },
        ],
      },
    ),
  )
}
