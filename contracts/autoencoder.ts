import { z } from 'zod'
import type { Recipe } from './recipe.ts'

/** sha256 that names an autoencoder: over its two models and the numbers that go with them. */
export const autoencoderHash = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')

/** The space that an autoencoder takes pictures to. */
export const autoencoderSpace = z.object({
  hash: autoencoderHash,
  name: z.string().max(200),
  /** Channels of its latents. */
  channels: z.number().int().min(1).max(256),
  /** Pixels along each side that one latent stands for. */
  factor: z.number().int().min(1).max(64),
})
export type AutoencoderSpace = z.infer<typeof autoencoderSpace>

/** What goes with the models of an autoencoder: the model sees (latent - shiftFactor) * scalingFactor. */
export const latentScale = z.object({ scalingFactor: z.number().positive(), shiftFactor: z.number() })
export type LatentScale = z.infer<typeof latentScale>

/** An autoencoder that a project has. */
export const autoencoderInfo = autoencoderSpace.extend({
  ...latentScale.shape,
  /** Type of the numbers that it gives, in which they are kept. */
  dtype: z.enum(['f32', 'f16']),
  sizeBytes: z.number().int(),
  /** Side of the only pictures that it takes; null where it takes any. */
  imageSize: z.number().int().nullable(),
})
export type AutoencoderInfo = z.infer<typeof autoencoderInfo>

/** What an autoencoder makes of a picture and back. */
export const roundTrip = z.object({
  autoencoder: autoencoderInfo,
  latents: z.object({
    channels: z.number().int(),
    height: z.number().int(),
    width: z.number().int(),
    /** One picture a channel: blue below zero, grey at zero, orange above; all channels on one scale. */
    channelUrls: z.array(z.string()),
    /** What full color stands for. */
    largest: z.number(),
  }),
  /** The picture as the trainer would have it without an autoencoder, and as it comes back. */
  originalUrl: z.string(),
  decodedUrl: z.string(),
  /** Where the two differ: black is equal, white is the largest difference. */
  differenceUrl: z.string(),
  /** Of the bytes of the two, 0 to 255. */
  meanSquaredError: z.number(),
  /** Decibels; null when nothing is lost. */
  psnr: z.number().nullable(),
  largestDifference: z.number().int(),
})
export type RoundTrip = z.infer<typeof roundTrip>

/** What the caches of a project hold. */
export const cacheReport = z.object({
  entries: z.number().int(),
  sizeBytes: z.number().int(),
  /** Entries that no picture and no run of the project asks for any more, and the room that goes free without them. */
  orphans: z.number().int(),
  orphanBytes: z.number().int(),
  groups: z.array(
    z.object({
      name: z.string(),
      /** The autoencoder, or what else made the entries. */
      encoder: z.string(),
      entries: z.number().int(),
      sizeBytes: z.number().int(),
      orphans: z.number().int(),
    }),
  ),
  /** Pictures that could not be encoded and are left out of training. */
  quarantined: z.array(z.object({ source: z.string(), reason: z.string() })),
})
export type CacheReport = z.infer<typeof cacheReport>

/** A recipe for pixels as the same recipe for an autoencoder's latents, of as many rows and columns. */
export function inLatents(recipe: Recipe, { hash, name, channels, factor }: AutoencoderSpace): Recipe {
  return { ...recipe, autoencoder: { hash, name, channels, factor }, model: { ...recipe.model, channels } }
}
