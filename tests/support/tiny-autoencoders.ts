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
