import { z } from 'zod'
import { curationTarget, marks } from './curation.ts'
import { itemId } from './project.ts'

/** What a template for names may hold: the file's name, the folder it lies in, and the concept that a folder like "30_cat" names. */
export const nameSlots = ['name', 'folder', 'concept'] as const

const template = z
  .string()
  .max(500)
  .refine((text) => [...text.matchAll(/\{([^{}]*)\}/g)].every(([, slot]) => (nameSlots as readonly string[]).includes(slot!)), {
    message: `a template knows ${nameSlots.map((slot) => `{${slot}}`).join(', ')} and no other braces`,
  })
const share = z.number().min(0).max(1)
const folder = z.string().min(1).max(4096)

/** A folder with `model.onnx` and `selected_tags.csv`: tags with a probability of at least a threshold. */
export const taggerChoice = z.object({
  kind: z.literal('tagger'),
  folder,
  general: share.default(0.35),
  character: share.default(0.85),
  /** Whether the likeliest rating becomes a tag as well. */
  ratings: z.boolean().default(false),
  /** Whether the tags, joined by commas, are the caption as well. */
  asCaption: z.boolean().default(false),
})

/** A folder with the two halves of a captioner, see docs/captioning.md. */
export const blipChoice = z.object({ kind: z.literal('blip'), folder, maxTokens: z.number().int().min(1).max(200).default(40) })

/** A captioner that is a model of the user's own. */
export const captionModel = z.discriminatedUnion('kind', [taggerChoice, blipChoice])
export type CaptionModel = z.infer<typeof captionModel>

/** What makes captions and tags. Only a server ever sees a picture outside of this machine's own processes. */
export const captionerChoice = z.discriminatedUnion('kind', [
  /** From file names and folders alone. */
  z.object({
    kind: z.literal('names'),
    template: template.default('{concept}, {name}, {folder}'),
    /** Whether each folder above a picture becomes a tag. */
    folderTags: z.boolean().default(true),
  }),
  taggerChoice,
  blipChoice,
  /** A server that speaks OpenAI's chat completions. */
  z.object({
    kind: z.literal('server'),
    address: z.url({ protocol: /^https?$/ }).max(500),
    model: z.string().trim().min(1).max(200),
    prompt: z.string().trim().min(1).max(4000).default('Describe this picture in one short sentence, without an introduction.'),
    /** Requests at the same time. */
    concurrency: z.number().int().min(1).max(4).default(1),
    timeoutSeconds: z.number().int().min(1).max(600).default(120),
    /** In characters; a longer answer is cut at a word. */
    maxLength: z.number().int().min(10).max(2000).default(400),
    /** The host that people agreed to send pictures to, where the address is not this machine or its own network. */
    confirmedHost: z.string().max(300).nullable().default(null),
  }),
])
export type CaptionerChoice = z.infer<typeof captionerChoice>
export type CaptionerKind = CaptionerChoice['kind']

/** Where a new caption goes: into places that are empty or hold a mere file name, in place of others, beside them, or nowhere. */
export const captionPlace = z.enum(['fill', 'replace', 'append', 'prefix', 'second', 'none'])
export type CaptionPlace = z.infer<typeof captionPlace>

export const captionRules = z.object({
  caption: captionPlace.default('fill'),
  /** Whether `replace` also takes the place of what people wrote, in the studio or in caption files. */
  overHandwritten: z.boolean().default(false),
  tags: z.enum(['add', 'replace', 'none']).default('add'),
})
export type CaptionRules = z.infer<typeof captionRules>

/** What made captions, for the journal and the data set's card. */
export const captionMaker = z.object({
  kind: z.enum(['names', 'tagger', 'blip', 'server']),
  /** The model's folder, or the model and its server. */
  name: z.string().max(800),
  /** sha256 over what decides: the model's files, or the settings where there are none. */
  hash: z.string(),
})
export type CaptionMaker = z.infer<typeof captionMaker>

export const captionRequest = z.object({ target: curationTarget, captioner: captionerChoice, rules: captionRules })
export type CaptionRequest = z.infer<typeof captionRequest>

const words = marks.pick({ caption: true, captions: true, tags: true }).extend({ tags: z.array(z.string()) })

/** What a captioner says of a few items, and what would become of them. */
export const captionPreview = z.object({
  maker: captionMaker,
  matched: z.number().int(),
  examples: z.array(
    z.object({
      id: itemId,
      source: z.string(),
      before: words,
      after: words,
      /** What the captioner said, whatever the rules make of it. */
      said: z.object({ caption: z.string().nullable(), tags: z.array(z.string()) }).nullable(),
      /** Whether what people wrote stands there and is kept. */
      kept: z.boolean(),
      /** Why there is nothing. */
      problem: z.string().nullable(),
    }),
  ),
})
export type CaptionPreview = z.infer<typeof captionPreview>

/** An item that a captioner could not describe. */
export const captionFailure = z.object({ id: itemId, source: z.string(), reason: z.string() })
export type CaptionFailure = z.infer<typeof captionFailure>

/** Failures that a result lists; further ones are counted. */
export const listedFailures = 500

export const captionOutcome = z.object({
  maker: captionMaker,
  described: z.number().int(),
  /** Items whose words are others now, as one edit. */
  changed: z.number().int(),
  failed: z.number().int(),
  failures: z.array(captionFailure).max(listedFailures),
})
export type CaptionOutcome = z.infer<typeof captionOutcome>
