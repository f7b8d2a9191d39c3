import { z } from 'zod'
import { clipFacts, datasetItem } from './dataset.ts'
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

/** Why a picture cannot be shown as it was brought in: its file is away, its content has changed since, it lies where the host may not read, or it is a video, which is not
 * opened for this. */
export const originalAway = z.enum(['gone', 'changed', 'outside', 'unreadable', 'video'])
export type OriginalAway = z.infer<typeof originalAway>

/**
 * How layers share space and time in a clip: s layers scan each frame by itself, t layers each place through time, and the pattern is repeated to the
 * network's depth; 3D orders run over all tokens at once.
 */
export const timeScan = z.enum(['sst', 'st', 'sstt', 'zigzag-3d', 'sweep-3d'])
export type TimeScan = z.infer<typeof timeScan>

export const scanOrder = z.object({
  kind: z.enum([...scanSpec.shape.kind.options, 'time', 'zigzag-3d', 'sweep-3d']),
  /** What it is an order of: the tokens of one picture or frame, the frames at one place, or all tokens of a clip, frame by frame. */
  span: z.enum(['frame', 'time', 'clip']),
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
  /** Null for a picture. Of a clip, `training` is its first frame. */
  clip: z
    .object({
      facts: clipFacts,
      time: timeScan,
      /** The very pixels that a trainer gets, frame by frame; seconds are counted from the start of the video. */
      frames: z.array(z.object({ pictureUrl: z.string(), seconds: z.number() })),
    })
    .nullable(),
  orders: z.array(scanOrder),
  /** For each layer its passes over the tokens, each by one of `orders`. */
  layers: z.array(z.array(z.object({ order: z.number().int().min(0) }))),
})
export type Xray = z.infer<typeof xray>
