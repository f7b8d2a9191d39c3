import type { ExportPlan } from '#contracts/export.ts'
import type { DatasetSplit } from '#contracts/dataset.ts'
import type { ExportFile, ExportItem, ExportPicture, Survey } from './export-item.ts'
import type { ExportLatents } from './export-latents.ts'
import { imageFolderLayout } from './image-folder-layout.ts'
import { kohyaLayout } from './kohya-layout.ts'
import { videoFolderLayout } from './video-folder-layout.ts'
import { webDatasetLayout } from './web-dataset-layout.ts'
import { zigmaLayout } from './zigma-layout.ts'

/** Where the files of an item go and what is in them. A layout only says so; it writes nothing. */
export interface Layout {
  /** Endings of pictures that the layout's readers know. */
  readonly endings: ReadonlySet<string>
  /** The tar that an item's files go into, without its number; null where files lie in folders. */
  readonly tar: ((split: DatasetSplit, number: number) => string) | null
  files(item: ExportItem, picture: ExportPicture): ExportFile[]
  /** The file of a clip; null where the layout holds pictures. */
  readonly video: ((item: ExportItem, ending: string) => string) | null
  /** A line of a list of items, and the list's name. `isFirst`: the list has no other yet. */
  line(item: ExportItem, made: Pick<ExportPicture, 'ending'>, isFirst: boolean): { name: string; line: string } | null
  /** Files that speak of all items. */
  extras(): ExportFile[]
  /** For people: how other programs read the export. */
  readonly usage: readonly string[]
}

export interface LayoutOptions {
  survey: Survey
  splits: ExportPlan['splits']
  tags: ExportPlan['tags']
  /** What is exported beside the pictures; null where that is nothing. */
  latents: ExportLatents | null
}

const makers: Readonly<Record<ExportPlan['layout'], (options: LayoutOptions) => Layout>> = {
  webdataset: webDatasetLayout,
  imagefolder: imageFolderLayout,
  videofolder: videoFolderLayout,
  kohya: kohyaLayout,
  zigma: zigmaLayout,
}

export function layoutOf(
  { layout, splits, tags }: Pick<ExportPlan, 'layout' | 'splits' | 'tags'>,
  survey: Survey,
  latents: ExportLatents | null,
): Layout {
  return makers[layout]({ survey, splits, tags, latents })
}
