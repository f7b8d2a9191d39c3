import { z } from 'zod'
import { ledgerState } from './ledger-state.ts'
import { itemId } from './project.ts'

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
  /** How its colors are to be read, as the file says, e.g. bt709; null where it says nothing. */
  colorMatrix: z.string().nullable(),
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

/** How much each frame differs from the one before, 0 to 1; the first has 0. Any threshold can be held against them without decoding again. */
export const sceneScores = z.object({
  /** Seconds from the first frame, rising. */
  times: z.array(z.number()),
  scores: z.array(z.number()),
})
export type SceneScores = z.infer<typeof sceneScores>

/** The first frames of new scenes: all whose score reaches the threshold. */
export function cutsOf(scores: readonly number[], threshold: number): number[] {
  return scores.flatMap((score, frame) => (frame > 0 && score >= threshold ? [frame] : []))
}

export const trim = z
  .object({ startSeconds: z.number().min(0), endSeconds: z.number().positive().nullable() })
  .refine(({ startSeconds, endSeconds }) => endSeconds === null || endSeconds > startSeconds, 'must end after it starts')
export type Trim = z.infer<typeof trim>

/** How a video becomes clips. */
export const clipRules = z
  .object({
    /** Frames of a clip: as many as the model takes. */
    frames: z.number().int().min(1).max(512).default(16),
    /** What is left of a scene may become a shorter clip of at least so many frames; null: only clips of `frames` are legal. */
    shortest: z.number().int().min(1).max(512).nullable().default(null),
    /** Legal lengths are `frames` less a multiple of this: with 81 and 4 they are 81, 77, 73, … */
    lengthStep: z.number().int().min(1).max(64).default(1),
    /** Every so many-th frame is taken, at the rate below. */
    stride: z.number().int().min(1).max(64).default(1),
    /** Frames a second that clips have before the stride; null: as the video has them, and evened out where its rate varies. */
    frameRate: z.number().min(1).max(240).nullable().default(null),
    /** A new scene starts where the score reaches this; null: the video counts as one scene. */
    cutThreshold: z.number().min(0.01).max(1).nullable().default(null),
  })
  .refine(({ frames, shortest }) => shortest === null || shortest <= frames, 'shortest must not be longer than frames')
export type ClipRules = z.infer<typeof clipRules>

/** What a source says of a video that is one clip as it is, by whatever rules others are cut: how many frames it has, and how many a second. */
export const wholeClip = z.object({ frames: z.number().int().min(1).max(512), frameRate: z.number().positive().max(1000) })
export type WholeClip = z.infer<typeof wholeClip>

/** Why a frame is in no clip. */
export const dropReason = z.enum(['trimmed', 'retimed', 'stride', 'remainder', 'short-scene'])
export type DropReason = z.infer<typeof dropReason>

export const plannedClip = z.object({
  /** First and last frame of the video, counted from 0. */
  firstFrame: z.number().int(),
  lastFrame: z.number().int(),
  frames: z.number().int(),
  startSeconds: z.number(),
})
export type PlannedClip = z.infer<typeof plannedClip>

/** A change of one rule after which more of a video's frames are used, and how many then are. */
export const planRemedy = z.object({
  rule: z.enum(['frames', 'shortest', 'stride']),
  value: z.number().int(),
  used: z.number().int(),
  clipCount: z.number().int(),
})
export type PlanRemedy = z.infer<typeof planRemedy>

/** What the rules make of a video. Every frame is accounted for: used + the dropped of all reasons = all. */
export const videoPlan = z.object({
  frames: z.number().int(),
  used: z.number().int(),
  /** How often a frame is shown again because clips have more frames a second than the video. */
  repeated: z.number().int(),
  dropped: z.record(dropReason, z.number().int()),
  /** How many clips there are; the first of them stand in `clips`. */
  clipCount: z.number().int(),
  /** Runs of frames that are dropped as a whole, to draw them; single frames between used ones are only counted. */
  gaps: z.array(z.object({ firstFrame: z.number().int(), lastFrame: z.number().int(), reason: dropReason })),
  clips: z.array(plannedClip),
  /** The nearest trim that leaves no remainder at its end; null where there is none. */
  snapped: trim.nullable(),
  /** Frames a second that clips have before the stride, where frames are evened out by their times; null where they are taken as they are. */
  evenedTo: z.number().nullable(),
  /** Ways to use more of the video; none where all that can be used is. */
  remedies: z.array(planRemedy),
  /** For people: what was done to the times, and what is dropped and why. */
  notes: z.array(z.string()),
})
export type VideoPlan = z.infer<typeof videoPlan>

/** Why a video is not used, or not wholly. The sentence stands in `detail`. */
export const videoReason = z.enum([
  ...videoFault.options,
  ...['duplicate', 'no-clip', 'frames-dropped'],
  ...['caption-not-utf8', 'caption-missing', 'caption-too-long', 'metadata-broken'],
] as const)
export type VideoReason = z.infer<typeof videoReason>

/** What became of one video of a source. */
export const videoEntry = z.object({
  /** Path inside the source folder, for people. */
  source: z.string(),
  state: ledgerState,
  reason: videoReason.nullable(),
  detail: z.string().nullable(),
  frames: z.number().int(),
  usedFrames: z.number().int(),
  clips: z.number().int(),
})
export type VideoEntry = z.infer<typeof videoEntry>

/** A clip of the data set. */
export const clip = z.object({
  id: itemId,
  source: z.string(),
  caption: z.string(),
  frames: z.number().int(),
  startSeconds: z.number(),
  /** Frames a second when it is played at the video's own speed. */
  frameRate: z.number(),
})
export type Clip = z.infer<typeof clip>

export const clipOptions = z.object({
  /** Edge of the square frames in pixels, as of training pictures. */
  imageSize: z.number().int().min(8).max(1024).multipleOf(8),
  rules: clipRules,
  /** Trims of single videos, by their path inside the source. */
  trims: z
    .array(z.object({ source: z.string().max(4096), trim }))
    .max(10_000)
    .default([]),
  /** Thresholds of single videos instead of the common one, by their path inside the source. */
  thresholds: z
    .array(z.object({ source: z.string().max(4096), cutThreshold: clipRules.shape.cutThreshold.unwrap() }))
    .max(10_000)
    .default([]),
})
export type ClipOptions = z.infer<typeof clipOptions>

/** A video of a folder, before anything of it is read. */
export const foundVideo = z.object({ id: videoId, source: z.string(), sizeBytes: z.number().int() })
export type FoundVideo = z.infer<typeof foundVideo>

/** A probe, or why the video cannot be used. */
export const probeAnswer = z.object({
  probe: videoProbe.nullable(),
  refused: z.object({ fault: videoFault, detail: z.string() }).nullable(),
})
export type ProbeAnswer = z.infer<typeof probeAnswer>
