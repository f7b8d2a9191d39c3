import { StudioError } from '#contracts/errors.ts'
import { importVideos } from '../../media/video/import-videos.ts'
import { VideoError } from '../../media/video/video-error.ts'
import { isAllowed } from '../dataset.ts'
import { findDuplicates } from '../duplicates.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** What clips are good for so far. */
export const clipsNote = 'Clips are kept and shown; no model here trains on clips yet, and a training on pictures leaves them out.'

/** Finds the scenes of one video. */
export function scenesRunner(project: OpenProject): Runner {
  return async ({ payload, title }, { signal, report }) => {
    if (payload.kind !== 'scenes') throw new TypeError(`scenesRunner: got a job of kind ${payload.kind}`)
    try {
      const onProgress = (done: number, total: number | null) => report({ done, total, unit: 'frames', note: null })
      return { kind: 'scenes', frames: await project.videos.findScenes(payload.path, signal, onProgress) }
    } catch (error) {
      if (error instanceof VideoError) throw new StudioError('bad-source', `"${title}": ${error.message}`, { cause: error })
      throw error
    }
  }
}

/** Cuts the videos of a folder into clips of the project's data set. */
export function clipsRunner(project: OpenProject): Runner {
  return async ({ payload }, { signal, report }) => {
    if (payload.kind !== 'clips') throw new TypeError(`clipsRunner: got a job of kind ${payload.kind}`)
    try {
      const totals = await importVideos(payload.path, payload.options, {
        ffmpeg: await project.videos.ffmpeg(),
        datasetFolder: project.folder.dataset,
        scenes: project.videos.scenes,
        fs: project.fs,
        signal,
        mayRead: (path) => isAllowed(project.allowedRoots, path),
        onProgress: ({ done, total, file }) => report({ done, total, unit: 'files', note: file || null }),
      })
      return { kind: 'clips', totals, clips: (await project.clips.clips()).length, note: clipsNote }
    } finally {
      await findDuplicates(project.index, project.alike)
      project.tellCuration() // also the clips of an import that was ended are there to be seen
    }
  }
}
