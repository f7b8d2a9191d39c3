import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import type { ItemId } from '#contracts/project.ts'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import type { ExportItem } from '#main/media/export/export-item.ts'
import { trainingPicture } from '#main/media/picture.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const exportedSize = 8

/** A data set's folder with training pixels, and a source folder with the pictures they were made from; items of which nothing is said yet. */
export interface Exportable {
  datasetFolder: string
  sourceFolder: string
  items: readonly ExportItem[]
}

/** Pictures of two colors each, of several sizes, as PNG, JPEG and WebP in turn. */
export async function exportable(
  count: number,
  formats: readonly ('png' | 'jpeg' | 'webp' | 'gif')[] = ['png', 'jpeg', 'webp'],
): Promise<Exportable> {
  const folder = temporaryFolder()
  const [datasetFolder, sourceFolder] = [join(folder, 'dataset'), join(folder, 'source')]
  mkdirSync(sourceFolder)
  const dataset = new DatasetFiles(datasetFolder, new SafeFs())
  await dataset.prepare()
  await dataset.setImageSize(exportedSize)
  const records: Uint8Array[] = []
  const items: ExportItem[] = []
  for (let slot = 0; slot < count; slot++) {
    const format = formats[slot % formats.length]!
    const [width, height] = [10 + (slot % 4) * 6, 22 - (slot % 3) * 5]
    const background = { r: (slot * 37) % 256, g: (slot * 91) % 256, b: (slot * 151) % 256 }
    const corner = await sharp({ create: { width: 5, height: 5, channels: 3, background: { r: 255 - background.r, g: 30, b: slot % 256 } } }).png().toBuffer() // prettier-ignore
    const bytes = await sharp({ create: { width, height, channels: 3, background } }).composite([{ input: corner, left: 2, top: 3 }])[format]().toBuffer() // prettier-ignore
    const source = `picture ${slot}.${format}`
    writeFileSync(join(sourceFolder, source), bytes)
    const { rgb } = await trainingPicture(bytes, { imageSize: exportedSize, background: '#ffffff' })
    const fileHash = sha256(bytes)
    records.push(rgb)
    items.push({
      ...{ id: fileHash.slice(0, 20) as ItemId, source, caption: '', captions: [], tags: [], split: 'train' },
      ...{ author: '', licence: '', consent: 'unknown', clip: null, origin: '', repeats: null, concept: '' },
      ...{ width, height, shard: 0, slot, pixelHash: sha256(rgb) },
      original: { root: sourceFolder, source, fileHash, copied: null },
    })
  }
  await dataset.appendShard(0, records)
  return { datasetFolder, sourceFolder, items }
}
