import { join } from 'node:path'
import type { EngineEvents, TrainRequest } from '#contracts/engine.ts'
import type { RunId } from '#contracts/project.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { mediaUrl } from '#contracts/studio.ts'
import { clipsLeftOut } from '../../media/dataset-files.ts'
import { encodePng } from '../../media/write-image.ts'
import { jsonLines } from '../../store/json-lines.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** What a run's losses are held against. */
export const baselinesFile = (runFolder: string): string => join(runFolder, 'baselines.json')

/** The list of a run's samples: step, index and prompt a line. */
export const samplesFile = (runFolder: string): string => join(runFolder, 'samples', 'samples.jsonl')

/** File of a picture drawn while training. */
export const sampleFile = (runFolder: string, step: number, index: number): string =>
  join(runFolder, 'samples', `step-${String(step).padStart(8, '0')}-${index}.png`)

/** Trains a run in the engine's process; its news become the run's news, its samples files. */
export function trainRunner(project: OpenProject): Runner {
  return async ({ payload }, { signal, report }) => {
    if (payload.kind !== 'train') throw new TypeError(`trainRunner: got a job of kind ${payload.kind}`)
    const { runId } = payload
    const { recipe, snapshot } = project.run(runId)
    const runFolder = project.runFolder(runId)
    await project.fs.folder(join(runFolder, 'samples'))
    await project.latents.idle()

    const clips = await clipsLeftOut(project.folder.dataset, snapshot)
    if (clips > 0)
      project.publish('system.warned', {
        message: `This training is on pictures and leaves ${clips === 1 ? 'the clip' : `the ${clips} clips`} of the data set out.`,
      })

    // Files are written one after the other; the first that cannot be ends the training in good order.
    const unwritable = new AbortController()
    let writing = Promise.resolve()
    const write = (work: () => Promise<void>) => {
      writing = writing.then(work)
      writing.catch((error: unknown) => unwritable.abort(error))
    }
    let step = 0 // a note alone, without points, is news about the step reached
    const stop = project.engine.onNews(({ name, news }) => {
      if (news.runFolder !== runFolder) return
      if (name === 'engine.trained') {
        const last = news.points.at(-1)
        if (news.points[0]?.step === 0) write(() => project.fs.writeFile(baselinesFile(runFolder), JSON.stringify(news.baselines)))
        if (last) project.publish('run.progressed', { runId, points: news.points, baselines: news.baselines })
        step = last?.step ?? step
        if (last || news.note) report({ done: step, total: news.totalSteps, unit: 'steps', note: news.note })
      }
      if (name === 'engine.encoded') report({ done: news.done, total: news.total, unit: 'pictures', note: 'encode' })
      if (name === 'engine.warned') project.publish('system.warned', { message: news.message })
      if (name === 'engine.checkpointed') write(() => project.tellRun(runId))
      if (name === 'engine.sampled') write(() => keepSample(project, runId, news))
    })
    try {
      const outcome = await project.engine.call(
        'engine.train',
        { recipe, snapshot, runFolder, datasetFolder: project.folder.dataset, ...latentsOf(project, recipe) },
        { signal: AbortSignal.any([signal, unwritable.signal]) },
      )
      await writing
      return { kind: 'train', step: outcome.step, loss: outcome.loss }
    } catch (error) {
      await writing // why the engine was asked to end, if that is what happened
      throw error
    } finally {
      stop()
    }
  }
}

/** Where the latents of a recipe with an autoencoder come from. */
function latentsOf(project: OpenProject, { autoencoder }: Recipe): Pick<TrainRequest, 'latents'> {
  if (!autoencoder) return {}
  return { latents: { autoencoderFolder: project.autoencoders.folderOf(autoencoder.hash), cacheFolder: project.folder.features } }
}

async function keepSample(
  project: OpenProject,
  runId: RunId,
  { step, index, prompt, width, height, rgb }: EngineEvents['engine.sampled'],
): Promise<void> {
  const runFolder = project.runFolder(runId)
  await project.fs.writeFile(sampleFile(runFolder, step, index), await encodePng(rgb, width, height))
  await project.fs.append(samplesFile(runFolder), jsonLines([{ step, index, prompt }]))
  project.publish('run.sampled', { runId, step, index, prompt, pictureUrl: mediaUrl.sample(runId, step, index) })
}
