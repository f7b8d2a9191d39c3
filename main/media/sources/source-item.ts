import type { LedgerReason, SourceFacts } from '#contracts/dataset.ts'
import type { WholeClip } from '#contracts/video.ts'

/** A reason of the ledger's list and one sentence for people. */
export interface Remark {
  reason: LedgerReason
  detail: string
}

/** What is said of a picture. */
export interface Said {
  /** The first is the one that trains; none where nothing is said. */
  captions: readonly string[]
  tags: readonly string[]
  facts: SourceFacts
  /** Something about this that the artist should know. */
  note: Remark | null
  /** Of a video: that it is a clip as it is. */
  whole?: WholeClip | undefined
}

/** A picture of a source and a way to its bytes. */
export interface SourcePicture extends Said {
  /** Name inside the source, with forward slashes; the same each time the source is read. */
  source: string
  /** @throws PictureError where the bytes cannot be had; they are bounded. */
  read(): Promise<Uint8Array>
}

/** A video of a source: a file of its own, or bytes inside an archive. */
export interface SourceVideo extends Said {
  source: string
  video: { path: string } | { read(): Promise<Uint8Array> }
}

/** Something of a source that cannot be a picture of the data set, and why. */
export interface RefusedItem {
  source: string
  refused: Remark
}

export type SourceItem = SourcePicture | SourceVideo | RefusedItem

/** Where pictures come from, whatever holds them. */
export interface PictureSource {
  /** What the ledger calls it: a path, or "sample". */
  readonly root: string
  /** What it was recognized as, in words. */
  readonly description: string
  /** About how many items there are; null where that is known only at the end. */
  count(): Promise<number | null>
  /** Everything in it, one after the other and each time in the same order. Only the names may be held in memory. */
  items(): AsyncIterable<SourceItem>
  close(): Promise<void>
}
