import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { SceneScores } from '#contracts/video.ts'
import { runFfmpeg } from './ffmpeg-process.ts'
import { reasonOf } from './probe.ts'
import { VideoError } from './video-error.ts'
import { frameLimit, videoInput } from './video-input.ts'

const silenceMs = 60_000
const timeoutMs = 6 * 3600_000
/** Scenes are told apart on small pictures: enough to see a cut, and fast. */
const lookSize = '160:120'

/**
 * Decodes a video once and scores every frame against the one before, by ffmpeg's `select` filter (0 = the same, 1 = all different). What can be
 * decoded of a damaged video is scored.
 *
 * @throws VideoError when no frame can be decoded; the signal's reason.
 */
export async function scoreScenes(
  ffmpeg: string,
  path: string,
  { signal, onFrame }: { signal: AbortSignal; onFrame?: (done: number) => void },
): Promise<SceneScores> {
  const input = await videoInput(path)
  const micros: number[] = []
  const scores: number[] = []
  const look = `scale=${lookSize}:flags=fast_bilinear,select=gte(scene\\,0),settb=1/1000000,metadata=print:file=-`
  const { said } = await runFfmpeg({
    path: ffmpeg,
    args: ['-loglevel', 'error', ...input.args, '-map', '0:V:0', '-vf', look, '-f', 'null', '-'],
    signal,
    silenceMs,
    timeoutMs,
    read: async (output) => {
      for await (const line of createInterface({ input: Readable.from(output) })) {
        const pts = /^frame:\d+ +pts:(-?\d+)/.exec(line)?.[1]
        const score = /^lavfi\.scene_score=([\d.]+)/.exec(line)?.[1]
        if (pts !== undefined) micros.push(Number(pts))
        if (score === undefined) continue
        scores.push(Number(score))
        if (scores.length > frameLimit)
          throw new VideoError('too-long', `The video has more than the ${frameLimit} frames that are read. Cut it into parts.`)
        onFrame?.(scores.length)
      }
    },
  })
  if (scores.length === 0 || scores.length !== micros.length) {
    throw new VideoError('corrupt', `The video cannot be decoded (${reasonOf(said)}). Copy it again from its source.`)
  }
  const first = micros[0]!
  return { times: micros.map((time) => (time - first) / 1e6), scores }
}
