import type { ItemId } from '#contracts/project.ts'
import type { DatasetFiles } from '#main/media/dataset-files.ts'

/** An edited caption as it stands in the files, without a studio. */
export function sayCaption(dataset: DatasetFiles, id: ItemId, caption: string): Promise<void> {
  return dataset.journal.addEdit('set', [id], { caption: { was: { same: null }, now: { same: caption } } })
}
