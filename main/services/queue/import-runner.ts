import { importPictures } from '../../media/import-pictures.ts'
import { isAllowed } from '../dataset.ts'
import { findDuplicates } from '../duplicates.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** Brings pictures into the project's data set. */
export function importRunner(project: OpenProject): Runner {
  return async ({ payload }, { signal, report }) => {
    if (payload.kind !== 'import') throw new TypeError(`importRunner: got a job of kind ${payload.kind}`)
    try {
      if (!payload.only) await project.sources.remember(payload.source, payload.options)
      const totals = await importPictures(payload.source, payload.options, {
        datasetFolder: project.folder.dataset,
        originalsFolder: project.folder.originals,
        fs: project.fs,
        mayRead: (path) => isAllowed(project.allowedRoots, path),
        videos: { ffmpeg: () => project.videos.ffmpeg(), scenes: project.videos.scenes },
        signal,
        only: payload.only && new Set(payload.only),
        onProgress: ({ done, total, file }) => report({ done, total, unit: 'files', note: file || null }),
      })
      return { kind: 'import', totals }
    } finally {
      await findDuplicates(project.index, project.alike)
      project.cropping.follow() // what was said of a picture that is back
      // Also what an import that was ended had read is there to be seen.
      project.publish('dataset.changed', await project.describeDataset())
    }
  }
}
