import type { VideoFault } from '#contracts/video.ts'

/** A video that cannot be used, and why, as one sentence. */
export class VideoError extends Error {
  readonly fault: VideoFault

  constructor(fault: VideoFault, sentence: string, cause?: unknown) {
    super(sentence, { cause })
    this.fault = fault
  }
}
