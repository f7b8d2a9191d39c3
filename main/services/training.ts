import { readFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import type { RunId } from '#contracts/project.ts'
import type { Forecast } from '#contracts/recipe.ts'
import { baselines, mediaUrl, type Baselines, type StudioServices } from '#contracts/studio.ts'
import { forecastOf, type Place } from '#engine/forecast.ts'
import { presets } from '#engine/presets.ts'
import { FileMetrics } from '../store/metrics-log.ts'
import { jsonLines, readJsonLines } from '../store/json-lines.ts'
import { newId } from '../store/project-folder.ts'
import type { StudioContext } from './context.ts'
import { baselinesFile, samplesFile } from './queue/train-runner.ts'

type TrainingServices = Pick<
  StudioServices,
  | 'training.presets'
  | 'training.forecast'
  | 'training.start'
  | 'training.runs'
  | 'training.metrics'
  | 'training.samples'
  | 'training.pause'
  | 'training.stop'
  | 'training.resume'
>

const sampleLine = z.object({ step: z.number().int(), index: z.number().int(), prompt: z.string() })

export function trainingServices(context: StudioContext): TrainingServices {
  const describe = (id: RunId) => {
    const project = context.project()
    return project.describeRun(project.run(id))
  }
  /** The job that works on a run; null when it was cleared from the list, or is of another studio's index. */
  const jobOf = (id: RunId) => {
    const { jobId } = context.project().run(id)
    return (
      context
        .project()
        .queue.list()
        .find((job) => job.id === jobId) ?? null
    )
  }

  return {
    'training.presets': async () => [...presets],
    'training.forecast': async (recipe) => forecastOf(recipe, placeOf(context)),
    'training.start': async ({ name, recipe }) => {
      const project = context.project()
      await project.cropping.checkMade()
      if (recipe.autoencoder && !(await project.autoencoders.get(recipe.autoencoder.hash)))
        throw new StudioError(
          'invalid-request',
          `The autoencoder "${recipe.autoencoder.name}" of the recipe is not in this project. Choose it for the project first, or train on pixels.`,
        )
      refuseTooLarge(forecastOf(recipe, placeOf(context)))
      const snapshot = await project.dataset.freeze()
      const id = newId() as RunId
      const record = { id, name, createdAt: new Date().toISOString(), snapshot, recipe }
      await project.runRecords.write(record)
      project.runs.add({ ...record, jobId: null, state: 'queued' })
      project.queue.add(name, { kind: 'train', runId: id })
      return describe(id)
    },
    'training.runs': async () => {
      const project = context.project()
      return Promise.all(project.runs.list().map((row) => project.describeRun(row)))
    },
    'training.metrics': async ({ runId, afterStep }) => {
      const project = context.project()
      const points = await new FileMetrics(project.runFolder(project.run(runId).id), project.fs).readAll()
      return { baselines: await readBaselines(project.runFolder(runId)), points: points.filter(({ step }) => step > afterStep) }
    },
    'training.samples': async ({ runId }) => {
      const project = context.project()
      const lines = await readJsonLines(samplesFile(project.runFolder(project.run(runId).id)), sampleLine)
      const last = new Map(lines.map((line) => [jsonLines([line.step, line.index]), line]))
      return [...last.values()].map((line) => ({ runId, ...line, pictureUrl: mediaUrl.sample(runId, line.step, line.index) }))
    },
    'training.pause': async ({ runId }) => {
      const job = jobOf(runId)
      if (job) await context.project().queue.hold(job.id)
      return describe(runId)
    },
    'training.stop': async ({ runId }) => {
      const job = jobOf(runId)
      if (job) await context.project().queue.cancel(job.id)
      return describe(runId)
    },
    'training.resume': async ({ runId }) => {
      const { queue } = context.project()
      const job = jobOf(runId)
      if (job) queue.goOn(job.id)
      else queue.add(context.project().run(runId).name, { kind: 'train', runId })
      return describe(runId)
    },
  }
}

/** Where the engine trains: on its GPU, or with the memory of this machine. */
function placeOf({ engine }: StudioContext): Place {
  const { memoryTotalBytes } = engine.status
  return memoryTotalBytes === null ? { device: 'cpu', totalBytes: totalmem() } : { device: 'cuda', totalBytes: memoryTotalBytes }
}

/** A training that cannot fit is told so before it starts, with what to change. */
function refuseTooLarge({ memoryBytes, deviceBytes, advice }: Forecast): void {
  if (deviceBytes === null || memoryBytes < deviceBytes) return
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  const pieces = advice?.microBatch ? ` and "microBatch" to ${advice.microBatch}` : ''
  const remedy = advice
    ? `Set "recompute" to "${advice.recompute}"${pieces}: the same results in ${gib(advice.memoryBytes)}.`
    : 'Choose a smaller preset or smaller pictures.'
  throw new StudioError(
    'out-of-memory',
    `This training needs ${gib(memoryBytes)} of memory and the device has ${gib(deviceBytes)}. ${remedy}`,
    {
      details: { memoryBytes, deviceBytes, advice },
    },
  )
}

async function readBaselines(runFolder: string): Promise<Baselines> {
  const text = await readFile(baselinesFile(runFolder), 'utf8').catch(() => null)
  return text === null ? { untrained: null, constant: null } : baselines.parse(JSON.parse(text))
}
