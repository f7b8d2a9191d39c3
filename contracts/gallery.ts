import { z } from 'zod'
import { jobId, pictureId, runId } from './project.ts'

export const samplerName = z.enum(['euler', 'heun'])
export type SamplerName = z.infer<typeof samplerName>

/** Which weights to draw with. `step` null is the newest checkpoint at the time of queueing. */
export const modelChoice = z.object({
  runId,
  step: z.number().int().nonnegative().nullable(),
  weights: z.enum(['ema', 'raw']).default('ema'),
})
export type ModelChoice = z.infer<typeof modelChoice>

export const generationRequest = z.object({
  model: modelChoice,
  prompt: z.string().max(2000).default(''),
  negativePrompt: z.string().max(2000).default(''),
  /** Seed of the first picture; picture i uses seed + i. */
  seed: z
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER - 65536),
  count: z.number().int().min(1).max(1024).default(4),
  steps: z.number().int().min(1).max(1000).default(25),
  sampler: samplerName.default('euler'),
  /** Classifier-free guidance: 1 is off. */
  cfgScale: z.number().min(0).max(30).default(3),
})
export type GenerationRequest = z.infer<typeof generationRequest>

export const galleryItem = z.object({
  id: pictureId,
  jobId: jobId.nullable(),
  index: z.number().int(),
  createdAt: z.iso.datetime(),
  width: z.number().int(),
  height: z.number().int(),
  /** The settings this very picture was drawn with: count 1, its own seed, the step of the checkpoint filled in. */
  settings: generationRequest,
  modelName: z.string(),
  checkpointHash: z.string(),
  rating: z.number().int().min(0).max(5),
  pick: z.enum(['none', 'pick', 'reject']),
  trashed: z.boolean(),
})
export type GalleryItem = z.infer<typeof galleryItem>

/** Which pictures of the gallery are looked at. */
export const galleryFilter = z.object({
  /** Words of the prompt. */
  text: z.string().max(500).default(''),
  minRating: z.number().int().min(0).max(5).default(0),
  pick: z.enum(['none', 'pick', 'reject']).nullable().default(null),
  trashed: z.boolean().default(false),
})
export type GalleryFilter = z.infer<typeof galleryFilter>

export const galleryQuery = galleryFilter.extend({
  offset: z.number().int().min(0).default(0),
  limit: z.number().int().min(1).max(500).default(100),
})
export type GalleryQuery = z.infer<typeof galleryQuery>

/** A day of this machine's calendar, and how many pictures were drawn on it. */
export const galleryDay = z.object({ day: z.iso.date(), pictures: z.number().int() })
export type GalleryDay = z.infer<typeof galleryDay>

/** What a mark applies to. A filter is worked out on the spot, so that "all" never has to be loaded. */
export const galleryTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ids'), ids: z.array(pictureId).min(1).max(10_000) }),
  z.object({ kind: z.literal('query'), filter: galleryFilter, except: z.array(pictureId).max(10_000).default([]) }),
])
export type GalleryTarget = z.infer<typeof galleryTarget>

/** How many pictures a change changed. */
export const galleryOutcome = z.object({ changed: z.number().int() })
