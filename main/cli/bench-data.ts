import { availableParallelism } from 'node:os'
import { measureVideo } from './bench-video.ts'
import type { Output } from './output.ts'

/** `zigma bench data`: how fast sources become training data, as ratios to programs that do no more than that, in one run. */
export async function benchData(output: Output, { rounds }: { rounds: number }): Promise<void> {
  output.line(`Measuring on ${availableParallelism()} threads, medians of ${rounds} rounds.`)
  const video = await measureVideo('1280x720', rounds)
  const smallVideo = await measureVideo('320x180', rounds)
  const line = (name: string, figures: typeof video) =>
    `${name}  ${figures.framesPerSecond.toFixed(0)} frames a second, ${figures.ratio.toFixed(2)} of ffmpeg alone; with scenes ${figures.ratioWithScenes.toFixed(2)}${figures.sameBytes ? '' : ' (THE BYTES DIFFER)'}`
  output.answer(
    { threads: availableParallelism(), video, smallVideo },
    [line('video 1280 x 720', video), line('video 320 x 180 ', smallVideo)].join('\n'),
  )
}
