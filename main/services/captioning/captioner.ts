import type { CaptionMaker } from '#contracts/captioning.ts'

/** What a captioner says of one picture. */
export interface Said {
  /** Null where it gives tags only. */
  caption: string | null
  tags: string[]
}

/** One way to make captions and tags. */
export interface Captioner {
  readonly maker: CaptionMaker
  /** Whether it looks at the picture's file; else `describe` gets null. */
  readonly looks: boolean
  /** What it can say anything of. */
  readonly gives: { caption: boolean; tags: boolean }
  /** Items described at the same time. */
  readonly atOnce: number
  /**
   * @param source the picture's path in its source, parts parted by "/"
   * @param picture the file's bytes as they were imported
   * @throws CaptionError when this one item cannot be described; any other error ends the work on all.
   */
  describe(source: string, picture: Uint8Array | null, signal: AbortSignal): Promise<Said>
  /** Frees what it holds; called once all is described. */
  close?(): Promise<void>
}

/** One item cannot be described; the sentence says why. */
export class CaptionError extends Error {
  override readonly name = 'CaptionError'
}

/** A step that turns a picture's bytes into what a captioner looks at. */
export async function decoded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new CaptionError(`The picture cannot be decoded (${(error as Error).message.split('\n')[0]!.slice(0, 120)}).`, { cause: error })
  }
}
