import { crop, curationItem, type CurationItem, type Marks, type Size } from '#contracts/curation.ts'
import type { OriginalAway } from '#contracts/xray.ts'
import { bucketOf, frameOf } from '../media/aspect-buckets.ts'
import { centered, cropText } from '../media/training-crop.ts'
import { leakSql } from './query/sql.ts'

/** An item as `itemColumns` of `curated` give it. */
export interface Row {
  id: string
  source: string
  state: string
  width: number
  height: number
  caption: string
  captions: string
  tags: string
  rating: number
  pick: string
  split: string
  setSplit: string | null
  crop: string
  author: string
  licence: string
  consent: string
  origin: string
  repeats: number
  blur: number | null
  brightness: number
  clippedDark: number
  clippedBright: number
  watermark: number | null
  focusX: number
  focusY: number
  nearest: number | null
  duplicate: string
  duplicateGroup: number | null
  leak: number
  pixelHash: string
  madeCrop: string | null
  madeAway: OriginalAway | null
  frames: number | null
  frameRate: number
  stride: number
  startSeconds: number
  firstFrame: number
  lastFrame: number
}

export const itemColumns = `id, source, state, width, height, caption, captions, tags, rating, pick, split, setSplit, crop, author, licence, consent, origin, repeats,
  blur, brightness, clippedDark, clippedBright, watermark, focusX, focusY, nearest, duplicate, duplicateGroup, ${leakSql()} AS leak, pixelHash, madeCrop, madeAway,
  frames, frameRate, stride, startSeconds, firstFrame, lastFrame`

const square: Size = { width: 1, height: 1 }

export function toCrop(text: string): CurationItem['crop'] {
  return text === centered ? { kind: 'center' } : crop.parse(JSON.parse(text))
}

export function toLists({ captions, tags }: Pick<Row, 'captions' | 'tags'>): Pick<Marks, 'captions' | 'tags'> {
  return { captions: JSON.parse(captions) as string[], tags: JSON.parse(tags) as string[] }
}

export function toItem(row: Row, sizes: readonly Size[]): CurationItem {
  const {
    setSplit,
    leak,
    blur,
    brightness,
    clippedDark,
    clippedBright,
    watermark,
    focusX,
    focusY,
    captions,
    tags,
    crop: part,
    ...others
  } = row
  const { pixelHash, madeCrop, madeAway, frames, frameRate, stride, startSeconds, firstFrame, lastFrame, ...rest } = others
  const measures = blur === null ? null : { blur, brightness, clippedDark, clippedBright, watermark, focus: { x: focusX, y: focusY } }
  const framed = { width: row.width, height: row.height, crop: toCrop(part), focus: measures?.focus ?? null }
  const inside = framed.crop.kind === 'rectangle' ? framed.crop : framed
  const bucket = sizes[bucketOf(inside.width, inside.height, sizes)] ?? null
  return curationItem.parse({
    ...rest,
    ...toLists({ captions, tags }),
    crop: framed.crop,
    clip: frames === null ? null : { frames, frameRate, stride, startSeconds, firstFrame, lastFrame },
    splitByHand: setSplit !== null,
    measures,
    leak: leak === 1,
    bucket,
    frame: frameOf(framed, bucket ?? square),
    pixels: {
      version: pixelHash.slice(0, versionLength),
      ...(cropText(framed.crop) !== (madeCrop ?? centered)
        ? { state: 'waiting', away: null }
        : { state: madeAway ? 'away' : 'made', away: madeAway }),
    },
  })
}

/** Letters of a pixel hash that tell one from another in an address. */
export const versionLength = 16
