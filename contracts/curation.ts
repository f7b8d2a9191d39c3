import { z } from 'zod'
import { consent, datasetItem, datasetSplit, repeats } from './dataset.ts'
import { itemId } from './project.ts'
import { area, originalAway } from './xray.ts'

export const pick = z.enum(['none', 'pick', 'reject'])
export type Pick = z.infer<typeof pick>

/** Part of a picture in pixels of the source, upright; x and y of its upper left corner. */
export const rectangle = z.object({
  x: z.number().int().min(0),
  y: z.number().int().min(0),
  width: z.number().int().min(1),
  height: z.number().int().min(1),
})
export type Rectangle = z.infer<typeof rectangle>

/** How the part that is used is found: the middle, where there is most to see, or by hand. */
export const crop = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('center') }),
  z.object({ kind: z.literal('smart') }),
  z.object({ kind: z.literal('rectangle') }).extend(rectangle.shape),
])
export type Crop = z.infer<typeof crop>

const captionText = z.string().max(2000)
/** So many further captions may an item have. */
export const mostCaptions = 20

/** A tag in its one form: lower case, single spaces, no commas; 1 to 100 characters. */
export const tag = z
  .string()
  .transform((text) => text.normalize('NFC').replace(/\s+/g, ' ').trim().toLowerCase())
  .pipe(
    z
      .string()
      .min(1, 'a tag must not be empty')
      .max(100, 'a tag has at most 100 characters')
      .regex(/^[^,\p{Cc}]*$/u, 'a tag has no commas'),
  )
const tags = z.array(tag).max(200)

/** What people say about an item; until they do, what the import found counts. */
export const marks = z.object({
  caption: captionText,
  /** Further captions, as other ways to say the same. */
  captions: z.array(captionText).max(mostCaptions),
  tags,
  /** 0 to 5; 0 is not rated. */
  rating: z.number().int().min(0).max(5),
  pick,
  split: datasetSplit,
  crop,
  author: z.string().max(500),
  /** SPDX id or the licence's name. */
  licence: z.string().max(500),
  consent,
  /** Where it comes from: an address, an archive, "own photograph". */
  origin: z.string().max(2000),
  /** How often an epoch shows it, 1 to 10,000; what is held out is counted once whatever this says. */
  repeats,
})
export type Marks = z.infer<typeof marks>

/** What was measured on the decoded picture. Shares are 0 to 1. */
export const measures = z.object({
  /** 1 / (1 + v / 100), v = variance of the Laplacian of 8-bit gray at 512 pixels on the long side: 0 is sharp, above 0.5 looks blurred. */
  blur: z.number(),
  /** Mean luma. */
  brightness: z.number(),
  /** Share of pixels with luma at most 2 of 255, and of those with at least 253. */
  clippedDark: z.number(),
  clippedBright: z.number(),
  /** How much it looks as if words were laid over it: a half is eight letters in a row. Null where an older studio measured. */
  watermark: z.number().nullable().default(null),
  /** Where there is most to see, as shares of width and height. */
  focus: z.object({ x: z.number(), y: z.number() }),
})
export type Measures = z.infer<typeof measures>

/** What a histogram can be drawn of. Blur to watermark and `nearest` need a measured item. */
export const measureName = z.enum([
  'width',
  'height',
  'aspect',
  'megapixels',
  'rating',
  'repeats',
  'blur',
  'brightness',
  'clippedDark',
  'clippedBright',
  'watermark',
  'nearest',
])
export type MeasureName = z.infer<typeof measureName>

export const size = z.object({ width: z.number().int().min(8).max(8192), height: z.number().int().min(8).max(8192) })
export type Size = z.infer<typeof size>

/** Sizes to sort items into by aspect; none means the square that training uses. */
const bucketSizes = z.array(size).max(100).default([])

/**
 * Which items: the studio's query language, see docs/query-language.md. Empty means all. `bucket:512x768` looks among `buckets`.
 * A mistake is an `invalid-request` with a `QueryMistake` as its details.
 */
export const curationFilter = z.object({ text: z.string().max(1000).default(''), buckets: bucketSizes })
export type CurationFilter = z.infer<typeof curationFilter>

export const sortKey = z.enum([...measureName.options, 'added', 'id', 'source', 'caption'])
export type SortKey = z.infer<typeof sortKey>

export const curationQuery = z.object({
  filter: curationFilter,
  sort: sortKey.default('added'),
  descending: z.boolean().default(false),
  offset: z.number().int().min(0).default(0),
  limit: z.number().int().min(0).max(500).default(100),
})
export type CurationQuery = z.infer<typeof curationQuery>

export const curationItem = datasetItem.extend(marks.shape).extend({
  /** False while the split follows from the content alone. */
  splitByHand: z.boolean(),
  measures: measures.nullable(),
  /** The nearest other picture that looks alike, in bits of 64 that differ (0 to 10); null when there is none or it is not measured. */
  nearest: z.number().int().nullable(),
  /** exact: another item decodes to the same training pixels; near: looks alike. */
  duplicate: z.enum(['none', 'near', 'exact']),
  /** Items of one group are duplicates of each other, directly or by way of others. */
  duplicateGroup: z.number().int().nullable(),
  /** True when a duplicate lies in another split and neither is rejected: what is held back would be seen while training. */
  leak: z.boolean(),
  /** The bucket with the nearest aspect; null when the filter names no sizes. */
  bucket: size.nullable(),
  /** The part that is used: of the bucket's aspect, or square. */
  frame: rectangle,
  /** The pixels that training uses. */
  pixels: z.object({
    /** Another for other pixels. */
    version: z.string(),
    /** made: they are of the crop. waiting: they are those of before, until the crop is made. away: they stay those of before. */
    state: z.enum(['made', 'waiting', 'away']),
    /** Why the original cannot be read. */
    away: originalAway.nullable(),
  }),
})
export type CurationItem = z.infer<typeof curationItem>

/** The square of a picture that a crop leads to; with why the original cannot be read where it is away. */
export const croppedArea = z.object({ area, away: originalAway.nullable() })
export type CroppedArea = z.infer<typeof croppedArea>

/** Items whose pixels are not what their crop says: not made yet, or not to be made while their originals are away. */
export const cropsLeft = z.object({ waiting: z.number().int(), away: z.number().int() })
export type CropsLeft = z.infer<typeof cropsLeft>

/** What an edit applies to. A query is worked out on the spot, so that "all" never has to be loaded. */
export const curationTarget = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ids'), ids: z.array(itemId).min(1).max(10_000) }),
  z.object({ kind: z.literal('query'), filter: curationFilter, except: z.array(itemId).max(10_000).default([]) }),
])
export type CurationTarget = z.infer<typeof curationTarget>

/** Marks as an edit gives them: what is not named stays, null takes back what was said. */
export const marksChange = z
  .object({
    caption: marks.shape.caption.nullable(),
    captions: marks.shape.captions.nullable(),
    tags: marks.shape.tags.nullable(),
    rating: marks.shape.rating.nullable(),
    pick: marks.shape.pick.nullable(),
    split: marks.shape.split.nullable(),
    crop: marks.shape.crop.nullable(),
    author: marks.shape.author.nullable(),
    licence: marks.shape.licence.nullable(),
    consent: marks.shape.consent.nullable(),
    origin: marks.shape.origin.nullable(),
    repeats: marks.shape.repeats.nullable(),
  })
  .partial()
export type MarksChange = z.infer<typeof marksChange>

export const curationChange = z.discriminatedUnion('kind', [
  /** The same for every item. */
  z.object({ kind: z.literal('set'), marks: marksChange }),
  /** In caption and further captions. A regular expression is JavaScript's, with $1 in `with`; it has a second for all items together. */
  z.object({
    kind: z.literal('replace'),
    find: z.string().min(1).max(500),
    with: z.string().max(2000),
    regularExpression: z.boolean().default(false),
    matchCase: z.boolean().default(false),
  }),
  /** Put before and after each caption; one that has it already stays as it is. */
  z.object({ kind: z.literal('affix'), prefix: z.string().max(500).default(''), suffix: z.string().max(500).default('') }),
  z.object({ kind: z.literal('tag'), add: tags.default([]), remove: tags.default([]) }),
])
export type CurationChange = z.infer<typeof curationChange>

export const curationEdit = z.object({ target: curationTarget, change: curationChange })
export type CurationEdit = z.infer<typeof curationEdit>

/** One edit that can be taken back or done again. */
export const editRecord = z.object({
  seq: z.number().int(),
  kind: z.enum(['set', 'replace', 'affix', 'tag', 'caption']),
  /** Which of the marks it changed. */
  fields: z.array(marks.keyof()),
  items: z.number().int(),
  at: z.iso.datetime(),
})
export type EditRecord = z.infer<typeof editRecord>

/** What undo and redo would do now. Both outlive the studio. */
export const curationHistory = z.object({ undo: editRecord.nullable(), redo: editRecord.nullable() })
export type CurationHistory = z.infer<typeof curationHistory>

export const editOutcome = z.object({
  matched: z.number().int(),
  changed: z.number().int(),
  /** Clips that a crop was not for: they keep their frame. */
  uncropped: z.number().int(),
  history: curationHistory,
})
export type EditOutcome = z.infer<typeof editOutcome>

/** What an edit would do, without doing it. */
export const editPreview = z.object({
  matched: z.number().int(),
  changed: z.number().int(),
  examples: z.array(z.object({ id: itemId, before: marks.partial(), after: marks.partial() })),
})
export type EditPreview = z.infer<typeof editPreview>

export const histogram = z.object({
  measure: measureName,
  /** Equal steps from `from` to `to`; the last bin holds `to` as well. */
  from: z.number(),
  to: z.number(),
  counts: z.array(z.number().int()),
  /** Items under the filter that have no such measure. */
  missing: z.number().int(),
})
export type Histogram = z.infer<typeof histogram>

export const bucketCount = size.extend({
  items: z.number().int(),
  /** Mean share of a picture that lies outside its frame. */
  cropped: z.number(),
  /** Items whose frame has fewer pixels than the bucket, so that they would be enlarged. */
  enlarged: z.number().int(),
})
export type BucketCount = z.infer<typeof bucketCount>

/** Which groups of duplicates: those that are still to be decided, those that lie in more than one split, or all. */
export const duplicateList = z.enum(['open', 'leak', 'all'])
export type DuplicateList = z.infer<typeof duplicateList>

/** So many items of a group are told one by one. */
export const membersShown = 24

export const duplicateGroup = z.object({
  /** Of the item of the group that came first. */
  id: itemId,
  /** exact: all decode to the same training pixels. */
  kind: z.enum(['exact', 'near']),
  /** What is not rejected lies in more than one split. */
  leak: z.boolean(),
  /** Several are not rejected, and not all of those are picked. */
  open: z.boolean(),
  items: z.number().int(),
  /** The largest first, of equally large ones the sharpest; no more than `membersShown`. */
  members: z.array(curationItem),
  /** What "keep the best" keeps: what is picked, else the first member that is not rejected. */
  best: z.array(itemId),
})
export type DuplicateGroup = z.infer<typeof duplicateGroup>

export const duplicatesQuery = z.object({
  list: duplicateList.default('open'),
  offset: z.number().int().min(0).default(0),
  limit: z.number().int().min(1).max(100).default(50),
})
export type DuplicatesQuery = z.infer<typeof duplicatesQuery>

export const duplicatesPage = z.object({
  /** Groups in the list that was asked for. */
  total: z.number().int(),
  groups: z.array(duplicateGroup),
  /** How many there are of each kind. */
  counts: z.object({ open: z.number().int(), leak: z.number().int(), all: z.number().int() }),
  /** Pictures that may look like others, which nobody knows before they are measured. */
  unmeasured: z.number().int(),
})
export type DuplicatesPage = z.infer<typeof duplicatesPage>

/** What becomes of duplicates: `one` rejects all others of its group, `group` picks all of it, `best` keeps the best of a group or of every open group of a list. */
export const keepRequest = z.discriminatedUnion('keep', [
  z.object({ keep: z.literal('one'), id: itemId }),
  z.object({ keep: z.literal('group'), id: itemId }),
  z.object({ keep: z.literal('best'), id: itemId }),
  z.object({ keep: z.literal('best-of-all'), list: duplicateList }),
])
export type KeepRequest = z.infer<typeof keepRequest>

/** All of it is one edit. */
export const keepOutcome = editOutcome.extend({ groups: z.number().int(), rejected: z.number().int() })
export type KeepOutcome = z.infer<typeof keepOutcome>

export const tagCount = z.object({ tag: z.string(), items: z.number().int() })
export type TagCount = z.infer<typeof tagCount>

/** News of an edit, an undo, a redo or new measures; `ids` is null when they are many. */
export const curationNews = z.object({ ids: z.array(itemId).nullable(), history: curationHistory })
export type CurationNews = z.infer<typeof curationNews>
