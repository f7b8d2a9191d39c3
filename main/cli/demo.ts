import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import sharp from 'sharp'
import { generationRequest } from '#contracts/gallery.ts'
import type { Job } from '#contracts/job.ts'
import type { RunId } from '#contracts/project.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { MetricPoint } from '#contracts/studio.ts'
import type { Studio } from '../compose.ts'
import { contactSheet, type SheetRow } from '../media/contact-sheet.ts'
import { jsonLines } from '../store/json-lines.ts'
import { duration, type Output } from './output.ts'
import { picturesOf } from './sample.ts'
import { finishJob, withProject } from './session.ts'
import { presetNamed } from './train.ts'

const prompts = [
  'red apple',
  'yellow star',
  'blue heart',
  'green leaf',
  'grinning face',
  'black cat',
  'red car',
  'full moon',
  'purple heart',
  'palm tree',
  'blue book',
  'fire',
]
const picturesEach = 6
const tilePixels = 96
const signal = new AbortController().signal

/** Steps of a run that is stopped by the clock: the learning rate falls over those that a measured pace allows. */
const paceSteps = 20
/** How much longer than asked a training may take before it is stopped. */
const lateness = 1.1

/** `zigma demo --out DIR --minutes M`: imports the sample set, trains, draws, and says what the losses are worth. */
export async function demo(output: Output, { out, minutes }: { out: string; minutes: number }): Promise<void> {
  const folder = resolve(out)
  await withProject(join(folder, 'project'), [], async (studio) => {
    const project = studio.context.project()
    const imported = await studio.services['dataset.import'](
      { source: { kind: 'sample' }, options: { imageSize: 32, background: '#ffffff' } },
      { signal },
    )
    await finishJob(studio, imported as Job, output)
    const { items, validationItems } = await project.dataset.describe()
    output.line(`Imported ${items} pictures, ${validationItems} of them held out.`)

    const recipe = { ...presetNamed('tiny'), samplePrompts: [] }
    const secondsPerStep = await measurePace(studio, recipe, output)
    const steps = Math.max(paceSteps, Math.floor((minutes * 60) / secondsPerStep))
    output.line(`A step takes ${secondsPerStep.toFixed(3)} s: training ${steps} steps in ${minutes} minutes.`)
    const run = await train(
      studio,
      { ...recipe, steps, validateEvery: Math.max(1, Math.floor(steps / 20)), checkpointEvery: Math.max(1, Math.floor(steps / 4)) },
      output,
      { limitMs: minutes * 60_000 * lateness },
    )

    const { points, baselines } = run
    await studio.context.fs.writeFile(join(folder, 'loss.jsonl'), jsonLines(points))
    const heldOut = points.findLast((point) => point.validationLoss !== null)?.validationLoss ?? null
    const sheet = await draw(studio, run.id, output)
    await studio.context.fs.writeFile(join(folder, 'grid.png'), sheet)
    output.answer(
      {
        heldOut,
        untrained: baselines.untrained,
        constant: baselines.constant,
        steps,
        secondsPerStep,
        loss: join(folder, 'loss.jsonl'),
        grid: join(folder, 'grid.png'),
        prompts,
      },
      [
        'Held-out velocity loss (mean squared error per element):',
        `  this model          ${heldOut?.toFixed(4)}`,
        `  best constant       ${baselines.constant?.toFixed(4)}`,
        `  untrained network   ${baselines.untrained?.toFixed(4)}`,
        `Pictures: ${join(folder, 'grid.png')}`,
      ].join('\n'),
    )
  })
}

/** Seconds a step takes here, by training a few. */
async function measurePace(studio: Studio, recipe: Recipe, output: Output): Promise<number> {
  const { points } = await train(studio, { ...recipe, steps: paceSteps }, output)
  const times = points.flatMap(({ secondsPerStep }) => (secondsPerStep ? [secondsPerStep] : [])).sort((a, b) => a - b)
  return times[Math.floor(times.length / 2)] ?? 1
}

async function train(studio: Studio, recipe: Recipe, output: Output, { limitMs = Infinity } = {}) {
  const project = studio.context.project()
  const run = await studio.services['training.start']({ name: 'demo', recipe }, { signal })
  const startedMs = performance.now()
  const stop = studio.subscribe(({ name, news }) => {
    if (name !== 'run.progressed') return
    for (const { step, loss, validationLoss } of news.points) {
      if (validationLoss !== null && step > 0)
        output.line(
          `${duration((performance.now() - startedMs) / 1000)}  step ${step} of ${recipe.steps} · loss ${loss?.toFixed(4)} · held out ${validationLoss.toFixed(4)}`,
        )
    }
  })
  const jobId = project.run(run.id as RunId).jobId!
  // A machine that grew slower since its pace was measured still keeps to the clock; stopping writes a checkpoint.
  const clock = Number.isFinite(limitMs) ? setTimeout(() => void project.queue.cancel(jobId), limitMs) : null
  try {
    await finishJob(studio, project.queue.get(jobId), output)
  } finally {
    if (clock) clearTimeout(clock)
    stop()
  }
  const metrics = await studio.services['training.metrics']({ runId: run.id as RunId, afterStep: -1 }, { signal })
  return { id: run.id as RunId, points: metrics.points as MetricPoint[], baselines: metrics.baselines }
}

async function draw(studio: Studio, runId: RunId, output: Output): Promise<Uint8Array> {
  const rows: SheetRow[] = []
  for (const prompt of prompts) {
    const request = generationRequest.parse({ model: { runId, step: null }, prompt, seed: 1, count: picturesEach })
    const job = await studio.services['generation.enqueue'](request, { signal })
    await finishJob(studio, job as Job, output)
    const pictures = await Promise.all(
      picturesOf(studio, job.id).map(async ({ id }) => {
        const { data, info } = await sharp(await readFile(studio.context.project().pictureFile(id)!))
          .removeAlpha()
          .raw()
          .toBuffer({ resolveWithObject: true })
        return { rgb: new Uint8Array(data), width: info.width, height: info.height }
      }),
    )
    rows.push({ caption: prompt, pictures })
  }
  return contactSheet(rows, tilePixels)
}
