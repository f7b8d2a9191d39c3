import type { ExportForecast, ExportPlan } from '#contracts/export.ts'
import { encodedSize } from '../video/encode-frames.ts'
import type { ExportItem, Survey } from './export-item.ts'
import { encoding, ExportPictures, isGone, type PictureRooms } from './export-pictures.ts'
import { layoutOf, type Layout } from './layout.ts'

/** How many items tell what all of them will take. */
export const sampleItems = 24
/** The same of clips, of which the first frames tell: encoding takes long. */
const sampleClips = 4
const sampleFrames = 8
const tarBlock = 512
/** What a file takes on the disk beside its bytes, as most file systems round. */
const diskBlock = 4096

export type Estimate = Pick<ExportForecast, 'sizeBytes' | 'looked' | 'missing'>
type Rooms = PictureRooms & { plan: Pick<ExportPlan, 'layout' | 'splits' | 'tags'> }

/** What an export will take on the disk, from a sample of its items; those whose pictures cannot be had count as the others. */
export async function estimate(
  sample: readonly ExportItem[],
  items: number,
  rooms: Rooms,
  survey: Survey,
  signal: AbortSignal,
): Promise<Estimate> {
  const layout = layoutOf(rooms.plan, survey, rooms.latents)
  const every = Math.ceil(sample.length / sampleClips)
  const looked = layout.video ? sample.filter((_, i) => i % every === 0) : sample
  const sizes = layout.video ? clipSizes(looked, rooms, layout, signal) : pictureSizes(looked, rooms, layout, signal)
  let [made, bytes] = [0, 0]
  for await (const size of sizes) {
    made++
    bytes += size
  }
  return { sizeBytes: made === 0 ? 0 : Math.ceil((bytes / made) * items), looked: looked.length, missing: looked.length - made }
}

/** What each picture takes that can be had. */
async function* pictureSizes(sample: readonly ExportItem[], rooms: Rooms, layout: Layout, signal: AbortSignal): AsyncGenerator<number> {
  const pictures = new ExportPictures(rooms, layout)
  const block = layout.tar ? tarBlock : diskBlock
  for await (const source of pictures.sources(sample)) {
    const one = await pictures.make(source, signal)
    if (!('picture' in one)) continue
    const sizes = layout.files(source.item, one.picture).map(({ bytes }) => {
      const length = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
      return Math.ceil(length / block) * block + (layout.tar ? tarBlock : 0)
    })
    yield sizes.reduce((sum, size) => sum + size, layout.line(source.item, one.picture, false)?.line.length ?? 0)
  }
}

/** The same of clips. */
async function* clipSizes(sample: readonly ExportItem[], rooms: Rooms, layout: Layout, signal: AbortSignal): AsyncGenerator<number> {
  for (const item of sample) {
    const { frames } = item.clip!
    const some = Math.min(frames, sampleFrames)
    try {
      const sizeBytes = await encodedSize(rooms.ffmpeg!, encoding(rooms, item, some, signal))
      yield Math.ceil((sizeBytes * frames) / some / diskBlock) * diskBlock + (layout.line(item, { ending: '' }, false)?.line.length ?? 0)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}
