import { z } from 'zod'
import { autoencoderSpace } from './autoencoder.ts'

export const scanSpec = z.object({
  kind: z.enum(['zigzag', 'raster', 'bidirectional', 'hilbert', 'hilbert-official']),
  /** Number of different orders that the layers take in turn, 1 to 8. */
  count: z.number().int().min(1).max(8).default(8),
})
export type ScanSpec = z.infer<typeof scanSpec>

export const condition = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('class'), classes: z.number().int().min(1) }),
  /** Text tokens [contextTokens, contextDim] for cross-attention; heads x headDim is the attention's inner width (official: 8 x 64). */
  z.object({
    kind: z.literal('text'),
    contextDim: z.number().int().min(1),
    contextTokens: z.number().int().min(1).max(512),
    heads: z.number().int().min(1).default(8),
    headDim: z.number().int().min(1).default(64),
  }),
])
export type Condition = z.infer<typeof condition>

/** A ZigMa for images (spec section 1). Sizes are in pixels of the model's space: image pixels, or latents when an autoencoder is used. */
export const modelSpec = z.object({
  kind: z.literal('zigma'),
  height: z.number().int().min(1),
  width: z.number().int().min(1),
  channels: z.number().int().min(1),
  patchSize: z.number().int().min(1),
  embedDim: z.number().int().min(4),
  depth: z.number().int().min(1),
  stateDim: z.number().int().min(1).default(16),
  expand: z.number().int().min(1).default(2),
  convWidth: z.number().int().min(2).max(4).default(4),
  scan: scanSpec,
  /** 0 none, 1 fixed sin-cos, 2 learned, 3 one constant tensor added before every block (spec 1.2). */
  positionEmbedding: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  norm: z.enum(['rms', 'layer']).default('rms'),
  condition,
  dropPath: z.number().min(0).max(0.9).default(0),
})
export type ModelSpec = z.infer<typeof modelSpec>

/** The caption encoder that is trained together with the model: tokens -> [contextTokens, contextDim]. */
export const textEncoderSpec = z.object({
  kind: z.literal('trained'),
  vocabularySize: z.number().int().min(64).max(16384).default(1024),
  dim: z.number().int().min(8),
  depth: z.number().int().min(0).default(2),
  heads: z.number().int().min(1).default(4),
  tokens: z.number().int().min(1).max(128).default(16),
})
export type TextEncoderSpec = z.infer<typeof textEncoderSpec>

/** All settings of a training, and the seed. Frozen when the job is queued. */
export const recipe = z.object({
  schema: z.literal(1),
  preset: z.string().nullable().default(null),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  model: modelSpec,
  /** The autoencoder in whose space the model works; null for pixels. */
  autoencoder: autoencoderSpace.nullable().default(null),
  textEncoder: textEncoderSpec.nullable(),
  path: z.enum(['linear']).default('linear'),
  prediction: z.enum(['velocity']).default('velocity'),
  /** Share of the batch that is trained without its condition, for classifier-free guidance. */
  conditionDropout: z.number().min(0).max(1).default(0.1),
  batchSize: z.number().int().min(1).max(65536),
  /** Pictures that are in memory at once, a divisor of `batchSize`; their gradients are added up to the batch's. Null: the whole batch. */
  microBatch: z.number().int().min(1).nullable().default(null),
  steps: z.number().int().min(1).max(100_000_000),
  optimizer: z.object({
    kind: z.literal('adamw').default('adamw'),
    learningRate: z.number().positive().default(1e-4),
    warmupSteps: z.number().int().min(0).default(0),
    schedule: z.enum(['constant', 'cosine']).default('constant'),
    beta1: z.number().min(0).max(1).default(0.9),
    beta2: z.number().min(0).max(1).default(0.999),
    epsilon: z.number().positive().default(1e-8),
    weightDecay: z.number().min(0).default(0),
    clipNorm: z.number().min(0).default(2),
    emaDecay: z.number().min(0).max(1).default(0.9999),
  }),
  flip: z.boolean().default(false),
  /**
   * Type of tokens and matrix products on a GPU: bfloat16, float16 with a scaled loss, or float32. "auto" is bfloat16 where the GPU has it (compute
   * capability 8.0 and later), else float16. A CPU computes in float32.
   */
  precision: z.enum(['auto', 'bf16', 'f16', 'f32']).default('auto'),
  /**
   * What a training step keeps of its forward pass: everything; wide products, the rest is computed again; or only what goes from block to block.
   * The results are the same, less memory takes more time.
   */
  recompute: z.enum(['speed', 'balanced', 'memory']).default('speed'),
  checkpointEvery: z.number().int().min(1).default(500),
  keepCheckpoints: z.number().int().min(1).default(3),
  validateEvery: z.number().int().min(1).default(250),
  sampleEvery: z.number().int().min(1).default(500),
  samplePrompts: z.array(z.string().max(2000)).max(16).default([]),
})
export type Recipe = z.infer<typeof recipe>

export const preset = z.object({
  name: z.string(),
  /** Key of the translated one-line description. */
  describes: z.string(),
  device: z.enum(['cpu', 'gpu']),
  recipe,
})
export type Preset = z.infer<typeof preset>

/** What a recipe will cost, before it is started. */
export const forecast = z.object({
  parameters: z.number().int(),
  tokens: z.number().int(),
  /** The most that a training holds at once, on the device that it was asked for. */
  memoryBytes: z.number(),
  /** What that device has; null where it is not known. */
  deviceBytes: z.number().nullable(),
  /** Where it does not fit: the fastest settings that do, with the same results; null when there are none. */
  advice: z
    .object({ recompute: z.enum(['speed', 'balanced', 'memory']), microBatch: z.number().int().nullable(), memoryBytes: z.number() })
    .nullable(),
  /** Null until a step has been measured on this device. */
  secondsPerStep: z.number().nullable(),
})
export type Forecast = z.infer<typeof forecast>
