import { resolve } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { clipOptions } from '#contracts/video.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

/** `zigma clips FOLDER --project DIR`: ends with what became of every video. */
export async function clipsCommand(
  output: Output,
  source: string,
  options: { project: string; size?: number; frames: number; stride: number; rate?: number; cut?: number },
): Promise<void> {
  const path = resolve(source)
  await withProject(options.project, [path], async (studio) => {
    const { services, context } = studio
    const imageSize = options.size ?? (await context.project().dataset.imageSize()) ?? 32
    const { frames, stride, rate, cut } = options
    const parsed = clipOptions.safeParse({ imageSize, rules: { frames, stride, frameRate: rate ?? null, cutThreshold: cut ?? null } })
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      throw new StudioError('invalid-request', `${issue?.path.join('.')}: ${issue?.message}. Sizes are multiples of 8 from 8 to 1024.`)
    }
    const signal = new AbortController().signal
    const job = await services['video.import']({ path, options: parsed.data }, { signal })
    const { result } = await finishJob(studio, job as never, output)
    if (result?.kind !== 'clips') throw new TypeError('clips: the job ended without its result')
    const videos = await context.project().clips.entries()
    const told = videos
      .filter(({ detail }) => detail !== null)
      .map(({ source: file, state, detail }) => `  ${state}: ${JSON.stringify(file)} · ${detail}`)
    const { totals, clips, note } = result
    output.answer(
      { totals, clips, note, videos },
      [
        `${totals.found} videos: ${totals.used} used, ${totals.partial} partly, ${totals.rejected} rejected. The data set holds ${clips} clips. ${note}`,
        ...told.slice(0, 20),
        ...(told.length > 20 ? [`  and ${told.length - 20} more (--json lists all)`] : []),
      ].join('\n'),
    )
  })
}
