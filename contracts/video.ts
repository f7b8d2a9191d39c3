import { z } from 'zod'

/** A video that the studio was shown: looked up by the host, never a path. */
export const videoId = z
  .string()
  .regex(/^v[0-9a-f]{24}$/, 'must be the id of a video')
  .brand<'video-id'>()
export type VideoId = z.infer<typeof videoId>

/** Why a video, or some of its frames, cannot be used. */
export const videoFault = z.enum([
  'empty-file',
  'unsupported-format',
  'corrupt',
  'no-video',
  'too-many-pixels',
  'too-small',
  'too-long',
  'timed-out',
  'unreadable',
])
export type VideoFault = z.infer<typeof videoFault>

/** What a video is, from its container and from the times of its frames. Sound is never read. */
export const videoProbe = z.object({
  container: z.enum(['mov', 'matroska', 'avi', 'gif', 'mpegts']),
  codec: z.string(),
  /** ffmpeg's name, e.g. yuv420p. */
  pixelFormat: z.string(),
  /** As people see it: upright, with square pixels. */
  width: z.number().int(),
  height: z.number().int(),
  /** Clockwise turn that the file asks for, degrees. */
  rotation: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
  frames: z.number().int(),
  /** From the first frame's time to the last one's end. */
  durationSeconds: z.number(),
  /** Frames a second, on average. */
  frameRate: z.number(),
  /** Whether the frames are not evenly spaced in time. */
  variableRate: z.boolean(),
})
export type VideoProbe = z.infer<typeof videoProbe>
