import { availableParallelism } from 'node:os'
import { measureLoader, measureMemory, measurePictures } from './bench-pictures.ts'
import { measureVideo } from './bench-video.ts'
import type { Output } from './output.ts'

/** `zigma bench data`: how fast sources become training data, as ratios to programs that do no more than that, in one run. */
export async function benchData(output: Output, { rounds, items }: { rounds: number; items: number }): Promise<void> {
  output.line(`Measuring on ${availableParallelism()} threads, medians of ${rounds} rounds.`)
  const imports = await measurePictures(rounds)
  const loader = await measureLoader(rounds)
  output.line(
    `import  ${imports.picturesPerSecond.toFixed(0)} pictures of ${imports.pictures} a second, ${imports.ratio.toFixed(2)} of vipsthumbnail`,
  )
  output.line(
    `loader  ${loader.gigabytesPerSecond.toFixed(1)} GB a second, ${loader.ratio.toFixed(2)} of reading the shards from end to end`,
  )
  const video = await measureVideo('1280x720', rounds)
  const smallVideo = await measureVideo('320x180', rounds)
  for (const [name, figures] of [
    ['1280 x 720', video],
    ['320 x 180', smallVideo],
  ] as const)
    output.line(
      `video ${name}  ${figures.framesPerSecond.toFixed(0)} frames a second, ${figures.ratio.toFixed(2)} of ffmpeg alone; with scenes ${figures.ratioWithScenes.toFixed(2)}${figures.sameBytes ? '' : ' (THE BYTES DIFFER)'}`,
    )
  const memory = await measureMemory([Math.ceil(items / 100), Math.ceil(items / 10), items])
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  output.answer(
    { threads: availableParallelism(), import: imports, loader, video, smallVideo, memory },
    `memory  ${memory.imports.map(({ pictures, peakBytes, usedBytes }) => `${mebibytes(peakBytes)} with ${pictures} pictures, ${mebibytes(usedBytes)} of it in use`).join('; ')}: ${memory.ratio.toFixed(2)} and ${memory.usedRatio.toFixed(2)} times, ${memory.bytesPerPicture.toFixed(0)} bytes for each further picture`,
  )
}
