import { join, relative, sep } from 'node:path'
import type { EngineEvents } from '#contracts/engine.ts'
import type { Job } from '#contracts/job.ts'
import { encodePicture, type PictureRecord } from '../../media/write-image.ts'
import { newId } from '../../store/project-folder.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** Draws the pictures of a job that are not drawn yet; each is a file before it is in the gallery. */
export function sampleRunner(project: OpenProject): Runner {
  return async (job, { signal, report }) => {
    const { payload } = job
    if (payload.kind !== 'sample') throw new TypeError(`sampleRunner: got a job of kind ${payload.kind}`)
    const { request } = payload
    const runFolder = project.runFolder(request.model.runId)
    const drawn = project.gallery.drawn(job.id)
    const indices = Array.from({ length: request.count }, (_, index) => index).filter((index) => !drawn.has(index))
    let done = drawn.size
    report({ done, total: request.count, unit: 'pictures', note: null })

    // The first picture that cannot be written ends the drawing: the others would only be lost.
    const unwritable = new AbortController()
    let writing = Promise.resolve()
    const stop = project.engine.onNews(({ name, news }) => {
      if (name !== 'engine.drew' || news.runFolder !== runFolder) return
      writing = writing
        .then(() => keepPicture(project, job, news))
        .then(() => report({ done: ++done, total: request.count, unit: 'pictures', note: null }))
      writing.catch((error: unknown) => unwritable.abort(error))
    })
    try {
      const { autoencoder } = project.run(request.model.runId).recipe
      const decoding = autoencoder ? { autoencoderFolder: project.autoencoders.folderOf(autoencoder.hash) } : {}
      await project.engine.call(
        'engine.sample',
        { runFolder, indices, request, ...decoding },
        { signal: AbortSignal.any([signal, unwritable.signal]) },
      )
      await writing
      return { kind: 'sample', pictures: project.gallery.drawn(job.id).size }
    } catch (error) {
      await writing // why the engine was asked to end, if that is what happened
      throw error
    } finally {
      stop()
    }
  }
}

async function keepPicture(
  project: OpenProject,
  job: Job,
  { index, seed, step, checkpointHash, width, height, rgb }: EngineEvents['engine.drew'],
): Promise<void> {
  if (job.payload.kind !== 'sample') return
  const { request } = job.payload
  const createdAt = new Date().toISOString()
  const record: PictureRecord = {
    schema: 1,
    id: newId(),
    jobId: job.id,
    index,
    createdAt,
    width,
    height,
    settings: { ...request, model: { ...request.model, step }, seed, count: 1 },
    modelName: project.run(request.model.runId).name,
    checkpointHash,
  }
  const folder = join(project.folder.outputs, createdAt.slice(0, 10))
  await project.fs.folder(folder)
  const path = join(folder, `${record.id}-${seed}.png`)
  await project.fs.writeFile(path, await encodePicture(rgb, record))
  project.announce(project.gallery.add(record, relative(project.folder.root, path).split(sep).join('/')))
}
