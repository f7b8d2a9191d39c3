import { wholeKeys } from '../sources/caption.ts'
import { factColumns } from './caption-record.ts'
import { factNames } from './export-item.ts'
import type { Layout, LayoutOptions } from './layout.ts'

/** Hugging Face's video folder: as its image folder, with clips. Two columns say how many frames a clip has, and how many a second. */
export function videoFolderLayout({ survey, splits }: LayoutOptions): Layout {
  const place = (split: string) => (splits === 'folders' ? `${split}/` : '')
  const columns = factNames.filter((name) => survey.has[name])
  return {
    endings: new Set(),
    tar: null,
    files: () => [],
    video: (item, ending) => `${place(item.split)}${item.id}.${ending}`,
    line: (item, { ending }, isFirst) => {
      const { frames, frameRate } = item.clip!
      const facts = factColumns(item, columns, { isFirst })
      const row = JSON.stringify({ file_name: `${item.id}.${ending}`, text: item.caption, ...facts, [wholeKeys.frames]: frames })
      return {
        name: `${place(item.split)}metadata.jsonl`,
        line: `${row.slice(0, -1)},${JSON.stringify(wholeKeys.frameRate)}:${fraction(frameRate)}}`,
      }
    },
    extras: () => [],
    usage: [
      '`load_dataset("videofolder", data_dir="…")` reads it: `metadata.jsonl` names the file of each clip and its caption (`text`), beside further columns.',
      'Clips are encoded without loss (FFV1 in Matroska): decoded to RGB they are the very frames, none of them left out or doubled. All programs that decode by FFmpeg read them; many players of phones and browsers do not.',
      `An import into the studio takes each video that has \`${wholeKeys.frames}\` and \`${wholeKeys.frameRate}\` as one clip as it is.`,
    ],
  }
}

/** A number that readers which take types from the first lines do not take for a whole one. */
function fraction(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value)
}
