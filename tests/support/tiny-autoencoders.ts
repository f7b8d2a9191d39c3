import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeModel, type OnnxNode, type OnnxPort } from '#engine/lowering/onnx/model.ts'

type Node = Pick<OnnxNode, 'op' | 'inputs' | 'outputs'> & Partial<OnnxNode>
type Matrix = readonly (readonly number[])[]

/** Rows are orthogonal and of length 1, and all entries are halves: products with it and its transpose lose nothing that rounding would not mend. */
const hadamard: Matrix = [
  [0.5, 0.5, 0.5, 0.5],
  [0.5, -0.5, 0.5, -0.5],
  [0.5, 0.5, -0.5, -0.5],
  [0.5, -0.5, -0.5, 0.5],
]
/** [12, 12]: the four pixels of a square mixed, each color by itself. */
const mixing: Matrix = Array.from({ length: 12 }, (_, row) =>
  Array.from({ length: 12 }, (_, column) => (row % 3 === column % 3 ? hadamard[Math.floor(row / 3)]![Math.floor(column / 3)]! : 0)),
)
const transposed = (m: Matrix): Matrix => m[0]!.map((_, column) => m.map((row) => row[column]!))

export interface TinyAutoencoder {
  encoder: Uint8Array
  decoder: Uint8Array
}

const symbols = ['batch', 'height', 'width'] as const
const [batch, height, width] = symbols

function model(nodes: readonly Node[], weights: Record<string, Matrix>, input: OnnxPort, output: OnnxPort): Uint8Array {
  return encodeModel({
    nodes: nodes.map((node) => ({ domain: '', attributes: {}, ...node })),
    inputs: [input],
    outputs: [output],
    initializers: Object.entries(weights).map(([name, m]) => ({
      name,
      dtype: 'f32',
      shape: [m.length, m[0]!.length, 1, 1],
      data: Float32Array.from(m.flat()),
    })),
    values: [],
  })
}

const picture = (name: string): OnnxPort => ({ name, dtype: 'f32', shape: [batch, 3, height, width] })
const latents = (name: string, channels: number | string): OnnxPort => ({
  name,
  dtype: 'f32',
  shape: [batch, channels, `${height}_latent`, `${width}_latent`],
})
const blocks = { blocksize: { int: 2 } }

/** Squares of 2 x 2 pixels become 12 channels, mixed by an orthogonal matrix: the round trip gives every byte back. Sizes are symbolic. */
export function exactAutoencoder({ encoderNodes = [] as Node[] } = {}): TinyAutoencoder {
  return {
    encoder: model(
      [
        { op: 'SpaceToDepth', inputs: ['sample'], outputs: ['squares'], attributes: blocks },
        { op: 'Conv', inputs: ['squares', 'mixing'], outputs: [encoderNodes.length > 0 ? 'mixed' : 'latent_sample'] },
        ...encoderNodes,
      ],
      { mixing },
      picture('sample'),
      latents('latent_sample', 12),
    ),
    decoder: model(
      [
        { op: 'Conv', inputs: ['latent_sample', 'unmixing'], outputs: ['squares'] },
        { op: 'DepthToSpace', inputs: ['squares'], outputs: ['sample'], attributes: blocks },
      ],
      { unmixing: transposed(mixing) },
      latents('latent_sample', 'channels'),
      picture('sample'),
    ),
  }
}

/** Keeps the mean of each square and nothing else. Gives mean and log-variance, as the autoencoders of Stable Diffusion do; the latter is 7 everywhere. */
export function meanAutoencoder(): TinyAutoencoder {
  const mean = [0, 1, 2].map((color) => Array.from({ length: 12 }, (_, i) => (i % 3 === color ? 0.25 : 0)))
  return {
    encoder: model(
      [
        { op: 'SpaceToDepth', inputs: ['sample'], outputs: ['squares'], attributes: blocks },
        { op: 'Conv', inputs: ['squares', 'mean'], outputs: ['means'] },
        { op: 'Exp', inputs: ['means'], outputs: ['noise'] },
        { op: 'Concat', inputs: ['means', 'noise'], outputs: ['latent_parameters'], attributes: { axis: { int: 1 } } },
      ],
      { mean },
      picture('sample'),
      latents('latent_parameters', 6),
    ),
    decoder: model(
      [
        { op: 'Conv', inputs: ['latent_sample', 'repeat'], outputs: ['squares'] },
        { op: 'DepthToSpace', inputs: ['squares'], outputs: ['sample'], attributes: blocks },
      ],
      { repeat: transposed(mean.map((row) => row.map((x) => x * 4))) },
      latents('latent_sample', 3),
      picture('sample'),
    ),
  }
}

/** The exact autoencoder with inputs and outputs of 16 bits. */
export function halfAutoencoder(): TinyAutoencoder {
  const to = (type: 'f32' | 'f16') => ({ to: { int: type === 'f32' ? 1 : 10 } })
  const half = (port: OnnxPort): OnnxPort => ({ ...port, dtype: 'f16' })
  const cast = (from: string, name: string, type: 'f32' | 'f16'): Node => ({
    op: 'Cast',
    inputs: [from],
    outputs: [name],
    attributes: to(type),
  })
  return {
    encoder: model(
      [
        cast('sample', 'wide', 'f32'),
        { op: 'SpaceToDepth', inputs: ['wide'], outputs: ['squares'], attributes: blocks },
        { op: 'Conv', inputs: ['squares', 'mixing'], outputs: ['mixed'] },
        cast('mixed', 'latent_sample', 'f16'),
      ],
      { mixing },
      half(picture('sample')),
      half(latents('latent_sample', 12)),
    ),
    decoder: model(
      [
        cast('latent_sample', 'wide', 'f32'),
        { op: 'Conv', inputs: ['wide', 'unmixing'], outputs: ['squares'] },
        { op: 'DepthToSpace', inputs: ['squares'], outputs: ['mixed'], attributes: blocks },
        cast('mixed', 'sample', 'f16'),
      ],
      { unmixing: transposed(mixing) },
      half(latents('latent_sample', 12)),
      half(picture('sample')),
    ),
  }
}

/**
 * In the form in which exporters write the autoencoders of Stable Diffusion: every size symbolic, group normalization as a reshape to groups and back to a
 * shape that is computed, mean and log-variance. It means nothing.
 */
export function exportedAutoencoder(): TinyAutoencoder {
  const floats = (name: string, shape: number[], of: (i: number) => number) => {
    const data = Float32Array.from({ length: shape.reduce((product, n) => product * n, 1) }, (_, i) => of(i))
    return { name, dtype: 'f32' as const, shape, data }
  }
  const [sample, latent] = [picture('sample'), latents('latent_sample', 'channels')]
  const whole = (nodes: readonly Node[]) => nodes.map((node) => ({ domain: '' as const, attributes: {}, ...node }))
  return {
    encoder: encodeModel({
      nodes: whole([
        {
          op: 'Conv',
          inputs: ['sample', 'weight'],
          outputs: ['x'],
          attributes: { strides: { ints: [2, 2] }, pads: { ints: [0, 0, 1, 1] }, kernel_shape: { ints: [3, 3] } },
        },
        { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
        { op: 'Reshape', inputs: ['x', 'groups'], outputs: ['grouped'] },
        { op: 'InstanceNormalization', inputs: ['grouped', 'one', 'zero'], outputs: ['normal'] },
        { op: 'Reshape', inputs: ['normal', 'shape'], outputs: ['latent_parameters'] },
      ]),
      inputs: [{ ...sample, shape: [batch, 'channels', height, width] }],
      outputs: [{ ...latent, name: 'latent_parameters' }],
      initializers: [
        floats('weight', [8, 3, 3, 3], Math.sin),
        { name: 'groups', dtype: 'i64', shape: [3], data: BigInt64Array.of(0n, 2n, -1n) },
        floats('one', [2], () => 1),
        floats('zero', [2], () => 0),
      ],
      values: [],
    }),
    decoder: encodeModel({
      nodes: whole([
        { op: 'Resize', inputs: ['latent_sample', '', 'scales'], outputs: ['large'], attributes: { mode: { string: 'nearest' } } },
        { op: 'Conv', inputs: ['large', 'weight'], outputs: ['sample'], attributes: { pads: { ints: [1, 1, 1, 1] } } },
      ]),
      inputs: [latent],
      outputs: [{ ...sample, shape: [batch, 'channels', height, width] }],
      initializers: [floats('weight', [3, 4, 3, 3], Math.cos), floats('scales', [4], (i) => (i < 2 ? 1 : 2))],
      values: [],
    }),
  }
}

/** The folder that an exporter would write. */
export function writeAutoencoder(
  folder: string,
  { encoder, decoder }: TinyAutoencoder,
  config: Record<string, unknown> | null = null,
): string {
  for (const [name, bytes] of [
    ['vae_encoder', encoder],
    ['vae_decoder', decoder],
  ] as const) {
    mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, name, 'model.onnx'), bytes)
    if (config) writeFileSync(join(folder, name, 'config.json'), JSON.stringify(config))
  }
  return folder
}
