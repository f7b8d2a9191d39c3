import { sha256 } from '../../store/safe-fs.ts'
import { captionLine, factRecord } from './caption-record.ts'
import type { ExportItem, ExportPicture } from './export-item.ts'
import type { Layout, LayoutOptions } from './layout.ts'

/** Tars of samples as img2dataset writes them: "00000.tar" with key.png, key.txt and key.json. */
export function webDatasetLayout({ splits, tags }: LayoutOptions): Layout {
  return {
    endings: new Set(['png', 'jpg', 'webp']),
    tar: (split, number) => `${splits === 'folders' ? `${split}/` : ''}${String(number).padStart(5, '0')}.tar`,
    files: (item, picture) => [
      { name: `${item.id}.${picture.ending}`, bytes: picture.bytes },
      { name: `${item.id}.txt`, bytes: captionLine(item, tags) },
      { name: `${item.id}.json`, bytes: JSON.stringify(record(item, picture, splits === 'folders')) },
    ],
    video: null,
    line: () => null,
    extras: () => [],
    usage: [
      'Tars of samples as img2dataset writes them, at most 10,000 in each: a picture, its caption (`.txt`) and a record (`.json`) under one key. WebDataset, open_clip and `load_dataset("webdataset", data_dir="…")` read them.',
    ],
  }
}

/** The record that img2dataset keeps of a sample, with what else is known of it. */
function record(item: ExportItem, { bytes, width, height }: ExportPicture, tellSplit: boolean): Record<string, unknown> {
  const { origin, ...facts } = factRecord(item)
  return {
    key: item.id,
    caption: item.caption,
    ...facts,
    ...(tellSplit ? { split: item.split } : {}),
    ...(origin === undefined ? {} : { [/^https?:\/\//.test(item.origin) ? 'url' : 'origin']: origin }),
    ...{ status: 'success', error_message: null, width, height, original_width: item.width, original_height: item.height },
    sha256: sha256(bytes),
  }
}
