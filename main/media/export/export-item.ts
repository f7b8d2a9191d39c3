import type { Consent, DatasetSplit } from '#contracts/dataset.ts'
import type { ExportedKind } from '#contracts/export.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Origin } from '../original-picture.ts'

/** An item as an export has it: everything that counts for it, and where its pixels are. */
export interface ExportItem {
  id: ItemId
  /** Path inside the source folder, for people. */
  source: string
  caption: string
  captions: string[]
  tags: string[]
  split: DatasetSplit
  author: string
  licence: string
  consent: Consent
  origin: string
  /** Null where nobody says how often an epoch shows it. */
  repeats: number | null
  concept: string
  /** Of the original, in pixels. */
  width: number
  height: number
  shard: number
  slot: number
  pixelHash: string
  /** Null for a picture; the shard of a clip is one of its own kind, and its frames lie in it from the slot on. */
  clip: { frames: number; frameRate: number; shard: string; imageSize: number } | null
  /** The file that it was made from; null where training pixels are exported, which need none. */
  original: Origin | null
}

export function kindOf({ clip }: Pick<ExportItem, 'clip'>): ExportedKind {
  return clip ? 'clip' : 'picture'
}

/** A picture as it is written. */
export interface ExportPicture {
  bytes: Uint8Array
  /** Of its file, without the dot: what is in it. */
  ending: string
  width: number
  height: number
  /** Its latents, under the name that follows its key; null where none are exported. */
  latents: ExportFile | null
}

/** A clip as it is written: by another program, since it need not fit into memory. */
export interface ExportVideo {
  ending: string
  write: (path: string) => Promise<void>
}

/** A file by its path with forward slashes. */
export interface ExportFile {
  name: string
  bytes: Uint8Array | string
}

/** What is known of all items before the first is written. But for their number it is of those that the layout holds. */
export interface Survey {
  items: number
  rejected: number
  /** Items of each split. */
  splits: Record<DatasetSplit, number>
  /** Whether any item has them, so that every line of a list has the same columns. */
  has: Record<FactName, boolean>
  /** Different repeats and concepts, in a fixed order. */
  groups: Group[]
}

export interface Group {
  repeats: number
  concept: string
  /** Whether one of its items is in training. */
  isTrained: boolean
}

/** What an item may have beside its caption. */
export type FactName = 'captions' | 'tags' | 'author' | 'licence' | 'consent' | 'origin' | 'repeats' | 'concept'
export const factNames: readonly FactName[] = ['captions', 'tags', 'author', 'licence', 'consent', 'origin', 'repeats', 'concept']

/** What a fact of an item is worth writing; null where nothing is said. */
export function factOf(item: ExportItem, name: FactName): string | number | string[] | null {
  const value = item[name]
  if (name === 'consent') return value === 'unknown' ? null : value
  return value === '' || (Array.isArray(value) && value.length === 0) ? null : value
}
