import { crop, pick } from '#contracts/curation.ts'
import { consent, datasetSplit, ledgerReason } from '#contracts/dataset.ts'

/** A field of the query language: what it is compared with and an example for those who got it wrong. Columns are those of `curated`. */
export type QueryField =
  | { kind: 'number'; column: string; example: string }
  | { kind: 'choice'; choices: readonly string[]; example: string }
  | { kind: 'text'; column: string; example: string }
  | { kind: 'bucket'; example: string }

const number = (column: string, example: string): QueryField => ({ kind: 'number', column, example })
const choice = (choices: readonly string[], example: string): QueryField => ({ kind: 'choice', choices, example })
const text = (column: string, example: string): QueryField => ({ kind: 'text', column, example })
const yesNo = ['yes', 'no'] as const

const fields = {
  tag: text('tags', 'tag:cat'),
  caption: text('caption', 'caption:"red apple"'),
  source: text('source', 'source:holiday'),
  id: text('id', 'id:0123456789abcdef0123'),
  author: text('author', 'author:"Ada Example"'),
  licence: text('licence', 'licence:CC-BY-4.0'),
  origin: text('origin', 'origin:archive'),
  rating: number('rating', 'rating>=4'),
  repeats: number('repeats', 'repeats>1'),
  width: number('width', 'width>512'),
  height: number('height', 'height:512..1024'),
  aspect: number('aspect', 'aspect>1.5'),
  megapixels: number('megapixels', 'megapixels<1'),
  blur: number('blur', 'blur<0.2'),
  brightness: number('brightness', 'brightness>0.8'),
  dark: number('clippedDark', 'dark>0.1'),
  bright: number('clippedBright', 'bright>0.1'),
  watermark: number('watermark', 'watermark>=0.5'),
  nearest: number('nearest', 'nearest<=4'),
  kind: choice(['picture', 'clip'], 'kind:clip'),
  frames: number('frames', 'frames>=16'),
  seconds: number('seconds', 'seconds<2'),
  fps: number('frameRate', 'fps:12'),
  stride: number('stride', 'stride>1'),
  split: choice(datasetSplit.options, 'split:train'),
  state: choice(['used', 'partial'], 'state:partial'),
  reason: choice(ledgerReason.options, 'reason:cropped'),
  pick: choice(pick.options, 'pick:reject'),
  consent: choice(consent.options, 'consent:given'),
  crop: choice([...crop.options.map((option) => option.shape.kind.value), 'waiting', 'away'], 'crop:smart'),
  duplicate: choice([...yesNo, 'exact', 'near', 'extra'], 'duplicate:yes'),
  leak: choice(yesNo, 'leak:yes'),
  captioned: choice(yesNo, 'captioned:no'),
  tagged: choice(yesNo, 'tagged:no'),
  measured: choice(yesNo, 'measured:no'),
  bucket: { kind: 'bucket', example: 'bucket:512x768' },
} as const satisfies Record<string, QueryField>

export type FieldName = keyof typeof fields
export const queryFields: Readonly<Record<FieldName, QueryField>> = fields
