import { z } from 'zod'
import { captionModel } from './captioning.ts'
import { autoencoderInfo } from './autoencoder.ts'
import { generationRequest } from './gallery.ts'
import { forecast, recipe } from './recipe.ts'
import { method, type ServicesOf } from './rpc.ts'
import type { Baselines, MetricPoint } from './studio.ts'

/**
 * What crosses between main and the engine's process. Folders are absolute paths that main has made and checked;
 * this contract is never reachable from a renderer or from the network.
 */
const folder = z.string().min(1)
/** Bytes have no form in JSON Schema, so the schema says "anything" and the check says the rest. */
const bytes = z.unknown().refine((value) => value instanceof Uint8Array, 'must be bytes') as unknown as z.ZodType<Uint8Array, Uint8Array>

export const trainRequest = z.object({
  recipe,
  /** Folder of the data set's shards and manifest, and the frozen snapshot's hash. */
  datasetFolder: folder,
  snapshot: z.string(),
  /** The run's folder: checkpoints/, samples/ and metrics.jsonl are written here. Training resumes from the newest good checkpoint. */
  runFolder: folder,
  /** For a recipe with an autoencoder: its folder, and the one in which latents are kept. */
  latents: z.object({ autoencoderFolder: folder, cacheFolder: folder }).optional(),
})
export type TrainRequest = z.infer<typeof trainRequest>

export const trainOutcome = z.object({ step: z.number().int(), loss: z.number().nullable(), finished: z.boolean() })
export type TrainOutcome = z.infer<typeof trainOutcome>

export const sampleRequest = z.object({
  runFolder: folder,
  /** Pictures already drawn (after a crash) are left out: only these indices are drawn. */
  indices: z.array(z.number().int().min(0)),
  request: generationRequest,
  /** For a model on latents: the folder of its autoencoder. */
  autoencoderFolder: folder.optional(),
})
export type SampleRequest = z.infer<typeof sampleRequest>

export const roundTripAnswer = z.object({
  channels: z.number().int(),
  height: z.number().int(),
  width: z.number().int(),
  /** float32 [channels, height, width], as the model sees them. */
  latents: bytes,
  /** RGB, row by row. */
  rgb: bytes,
})
export type RoundTripAnswer = z.infer<typeof roundTripAnswer>

export const deviceReport = z.object({
  name: z.string(),
  kind: z.enum(['cpu', 'cuda']),
  threads: z.number().int(),
  ortVersion: z.string(),
  instructionSet: z.string(),
  memoryBytes: z.number().nullable(),
  memoryTotalBytes: z.number().nullable(),
})
export type DeviceReport = z.infer<typeof deviceReport>

/** How an engine process ends whose device is lost: nothing more can be done in it, a new one starts with a whole device. */
export const deviceLostExitCode = 70

/** How a captioning model looks at pictures: whole on white in a rectangle, stretched to it, or filling it. */
export const captionerSight = z.object({
  /** sha256 over the model's files. */
  hash: z.string(),
  width: z.number().int(),
  height: z.number().int(),
  fit: z.enum(['contain', 'fill', 'cover']),
})
export type CaptionerSight = z.infer<typeof captionerSight>

export const captionReply = z.object({
  caption: z.string().nullable(),
  tags: z.array(z.string()),
  /** Why there is nothing for this one picture; null where there is. */
  failed: z.string().nullable(),
})
export type CaptionReply = z.infer<typeof captionReply>

export const engineMethods = {
  'engine.describe': method(z.null(), deviceReport),
  'engine.forecast': method(recipe, forecast),
  /** Trains until done or cancelled. Cancel ends after the step in hand, with a checkpoint written. */
  'engine.train': method(trainRequest, trainOutcome),
  /** Draws; each finished picture comes as news `engine.drew`. */
  'engine.sample': method(sampleRequest, z.object({ checkpointHash: z.string(), step: z.number().int(), pictures: z.number().int() })),
  /** Reads a model of captions or tags and says how it looks at pictures. One is kept at a time. */
  'engine.openCaptioner': method(captionModel, captionerSight),
  /** Describes one picture: RGB bytes in the model's own size, as base64. */
  'engine.caption': method(z.object({ model: captionModel, rgb: z.string() }), captionReply),
  /** Frees the model that is kept. */
  'engine.closeCaptioner': method(z.null(), z.null()),
  /** Tries an autoencoder out and says what it is. */
  'engine.inspectAutoencoder': method(
    z.object({ autoencoderFolder: folder }),
    autoencoderInfo.omit({ hash: true, name: true, sizeBytes: true }),
  ),
  /** A square picture of RGB bytes to latents and back. */
  'engine.roundTrip': method(
    z.object({ autoencoderFolder: folder, imageSize: z.number().int().min(1).max(4096), rgb: bytes }),
    roundTripAnswer,
  ),
} as const
export type EngineMethods = typeof engineMethods
export type EngineServices = ServicesOf<EngineMethods>

export interface EngineEvents {
  'engine.trained': { runFolder: string; points: MetricPoint[]; baselines: Baselines; totalSteps: number; note: string | null }
  /** RGB pixels, width x height x 3 bytes. */
  'engine.sampled': { runFolder: string; step: number; index: number; prompt: string; width: number; height: number; rgb: Uint8Array }
  'engine.drew': {
    runFolder: string
    index: number
    seed: number
    step: number
    checkpointHash: string
    width: number
    height: number
    rgb: Uint8Array
  }
  /** Pictures that have their latents, of all; `encoded` of them were made now. */
  'engine.encoded': { runFolder: string; done: number; total: number; encoded: number }
  /** Something that people should know and that does not end the run. */
  'engine.warned': { runFolder: string; message: string }
  'engine.checkpointed': { runFolder: string; step: number; hash: string; sizeBytes: number }
}
