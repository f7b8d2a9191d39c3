import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addPngText } from '#main/media/png-text.ts'
import { encodePng, type PictureRecord } from '#main/media/write-image.ts'

const perDay = 997 // no multiple of any number of columns
const colors = ['red', 'orange', 'yellow', 'green', 'blue'] as const
const tints = { red: [220, 40, 40], orange: [240, 140, 30], yellow: [240, 210, 60], green: [60, 170, 80], blue: [50, 90, 210] } as const

/** Writes the files of drawn pictures into a project, newest first by their number: picture 0 is the newest. They come into the index when it is opened. */
export async function writeLargeGallery(project: string, pictures: number): Promise<void> {
  const size = 16
  const plain = new Map<string, Uint8Array>()
  for (const color of colors) {
    const rgb = Uint8Array.from({ length: size * size * 3 }, (_, i) => tints[color][i % 3]!)
    plain.set(color, await encodePng(rgb, size, size))
  }
  const newest = Date.UTC(2026, 5, 30, 12)
  for (let i = 0; i < pictures; i++) {
    const day = Math.floor(i / perDay)
    const createdAt = new Date(newest - day * 86_400_000 - (i % perDay) * 1000).toISOString()
    const folder = join(project, 'outputs', createdAt.slice(0, 10))
    if (i % perDay === 0) mkdirSync(folder, { recursive: true })
    const color = colors[i % colors.length]!
    const record: PictureRecord = {
      ...{
        schema: 1,
        id: `p${String(i).padStart(11, '0')}`,
        jobId: `j${String(i).padStart(11, '0')}`,
        index: 0,
        createdAt,
        width: size,
        height: size,
      },
      settings: { model: { runId: 'r00000000000' as never, step: 1, weights: 'ema' }, prompt: `${color} picture ${i}`, negativePrompt: '', seed: i, count: 1, steps: 2, sampler: 'euler', cfgScale: 3 }, // prettier-ignore
      modelName: 'made',
      checkpointHash: 'made',
    }
    writeFileSync(join(folder, `${String(i).padStart(6, '0')}.png`), addPngText(plain.get(color)!, { zigma: JSON.stringify(record) }))
  }
}
