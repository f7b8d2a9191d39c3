import type { ExportForecast, ExportPlan } from '#contracts/export.ts'
import type { ExportItem, Survey } from './export-item.ts'
import { ExportPictures, type PictureRooms } from './export-pictures.ts'
import { layoutOf } from './layout.ts'

/** How many items tell what all of them will take. */
export const sampleItems = 24
const tarBlock = 512
/** What a file takes on the disk beside its bytes, as most file systems round. */
const diskBlock = 4096

export type Estimate = Pick<ExportForecast, 'sizeBytes' | 'looked' | 'missing'>

/** What an export will take on the disk, from a sample of its items; those whose pictures cannot be had count as the others. */
export async function estimate(
  sample: readonly ExportItem[],
  items: number,
  rooms: PictureRooms & { plan: Pick<ExportPlan, 'layout' | 'splits' | 'tags'> },
  survey: Survey,
): Promise<Estimate> {
  const layout = layoutOf(rooms.plan, survey, rooms.latents)
  const pictures = new ExportPictures(rooms, layout)
  const block = layout.tar ? tarBlock : diskBlock
  let [made, bytes] = [0, 0]
  for await (const source of pictures.sources(sample)) {
    const one = await pictures.make(source)
    if (!('picture' in one)) continue
    made++
    for (const file of layout.files(source.item, one.picture)) {
      const length = typeof file.bytes === 'string' ? Buffer.byteLength(file.bytes) : file.bytes.length
      bytes += Math.ceil(length / block) * block + (layout.tar ? tarBlock : 0)
    }
    bytes += layout.line(source.item, one.picture)?.line.length ?? 0
  }
  return { sizeBytes: made === 0 ? 0 : Math.ceil((bytes / made) * items), looked: sample.length, missing: sample.length - made }
}
