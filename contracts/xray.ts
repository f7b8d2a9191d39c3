import { z } from 'zod'
import { datasetItem } from './dataset.ts'
import { runId } from './project.ts'
import { scanSpec } from './recipe.ts'

/** The network through whose eyes a picture is looked at. */
export const modelChoice = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('preset'), name: z.string().min(1).max(120) }),
  z.object({ kind: z.literal('run'), runId }),
])
export type ModelChoice = z.infer<typeof modelChoice>

/** In pixels from the top left corner; parts of a pixel count where a picture was scaled. */
export const area = z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() })
export type Area = z.infer<typeof area>

/** Why a picture cannot be shown as it was brought in: its file is away, its content has changed since, or it lies where the host may not read. */
export const originalAway = z.enum(['gone', 'changed', 'outside', 'unreadable'])
export type OriginalAway = z.infer<typeof originalAway>

export const scanOrder = z.object({
  kind: scanSpec.shape.kind,
  /** Which one of its kind, from 0. */
  number: z.number().int().min(0),
  /** The token at each position, position 0 first: 32-bit integers, little end first, as base64. A token is row x columns + column. */
  permutation: z.base64(),
})
export type ScanOrder = z.infer<typeof scanOrder>

/** What a network gets to see of one picture of the data set. */
export const xray = z.object({
  item: datasetItem.pick({ id: true, source: true, caption: true, split: true }),
  /** The picture as it was brought in, upright. */
  original: z.object({
    width: z.number().int(),
    height: z.number().int(),
    pictureUrl: z.string().nullable(),
    away: originalAway.nullable(),
  }),
  /** The part of the original that is used. */
  crop: area,
  /** The very pixels that the trainer gets, without loss. */
  training: z.object({ width: z.number().int(), height: z.number().int(), pictureUrl: z.string() }),
  model: z.object({
    name: z.string(),
    /** Whether its image is the picture itself, or what an autoencoder makes of it. */
    space: z.enum(['pixels', 'latents']),
    /** Of its image, in pixels of its space. */
    width: z.number().int(),
    height: z.number().int(),
    channels: z.number().int(),
    patchSize: z.number().int(),
    /** Whether the trainer shows every second picture mirrored. */
    flips: z.boolean(),
  }),
  /** Rows and columns of patches; each is a token. */
  grid: z.object({ rows: z.number().int().min(1), columns: z.number().int().min(1) }),
  orders: z.array(scanOrder),
  /** For each layer its passes over the tokens, each by one of `orders`. */
  layers: z.array(z.array(z.object({ order: z.number().int().min(0) }))),
})
export type Xray = z.infer<typeof xray>
