import { factColumns } from './caption-record.ts'
import { factNames } from './export-item.ts'
import type { Layout, LayoutOptions } from './layout.ts'

/** Hugging Face's image folder: a folder a split, in it the pictures and a metadata.jsonl that names each of them beside its columns. */
export function imageFolderLayout({ survey, splits }: LayoutOptions): Layout {
  const place = (split: string) => (splits === 'folders' ? `${split}/` : '')
  const columns = factNames.filter((name) => survey.has[name])
  return {
    endings: new Set(['png', 'jpg', 'webp', 'gif', 'tif', 'avif']),
    tar: null,
    files: (item, { bytes, ending }) => [{ name: `${place(item.split)}${item.id}.${ending}`, bytes }],
    video: null,
    line: (item, { ending }, isFirst) => ({
      name: `${place(item.split)}metadata.jsonl`,
      line: JSON.stringify({ file_name: `${item.id}.${ending}`, text: item.caption, ...factColumns(item, columns, { isFirst }) }),
    }),
    extras: () => [],
    usage: [
      '`load_dataset("imagefolder", data_dir="…")` reads it: `metadata.jsonl` names the file of each picture and its caption (`text`), beside further columns.',
    ],
  }
}
