import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import sharp from 'sharp'
import { StudioError } from '#contracts/errors.ts'
import { generationRequest } from '#contracts/gallery.ts'
import type { Job } from '#contracts/job.ts'
import type { PictureId, RunId } from '#contracts/project.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { MetricPoint } from '#contracts/studio.ts'
import type { Studio } from '../compose.ts'
import { contactSheet, type SheetPicture, type SheetRow } from '../media/contact-sheet.ts'
import { openSnapshot } from '../media/dataset-files.ts'
import { heldOutExamples, type HeldOutExample } from '../media/held-out.ts'
import { lossCurve } from '../media/loss-curve.ts'
import { jsonLines } from '../store/json-lines.ts'
import { paceIsMeasured, paceOf, planned, type Pace } from './demo-plan.ts'
import { duration, type Output } from './output.ts'
import { picturesOf } from './sample.ts'
import { finishJob, withProject } from './session.ts'
import { presetNamed } from './train.ts'

interface DemoOptions {
  out: string
  minutes: number
  preset: string
  size?: number
}

const promptCount = 16
const picturesEach = 4
const tileAtLeast = 96
/** How much longer than asked a training may take before it is stopped. */
const lateness = 1.1
const signal = new AbortController().signal

/** `zigma demo --out DIR --minutes M`: imports the sample set, trains, draws what was held out, and says what the losses are worth. */
export async function demo(output: Output, { out, minutes, preset, size }: DemoOptions): Promise<void> {
  const base = recipeFor(preset, size)
  const imageSize = base.model.width
  const folder = resolve(out)
  await withProject(join(folder, 'project'), [], async (studio) => {
    const { fs } = studio.context
    const device = await deviceOf(studio)
    output.line(`Device: ${device}.`)
    const imported = await studio.services['dataset.import'](
      { source: { kind: 'sample' }, options: { imageSize, background: '#ffffff' } },
      { signal },
    )
    await finishJob(studio, imported as Job, output)
    const { items, validationItems } = await studio.context.project().dataset.describe()
    output.line(`Imported ${items} pictures of ${imageSize} x ${imageSize}, ${validationItems} of them held out.`)

    const pace = await measurePace(studio, base, output)
    const recipe = planned(base, minutes, pace)
    output.line(
      `A step takes ${(pace.secondsPerStep * 1000).toFixed(1)} ms, all else ${pace.besidesSeconds.toFixed(0)} s: training ${recipe.steps} steps of ${recipe.batchSize} pictures in ${minutes} min.`,
    )
    const run = await train(studio, 'demo', recipe, output, { limitMs: minutes * 60_000 * lateness })
    const { points, baselines } = run
    const heldOut = points.findLast(({ validationLoss }) => validationLoss !== null)?.validationLoss ?? null
    const trained = points.at(-1)?.step ?? 0
    if (trained < recipe.steps)
      output.line(`The time was up at step ${trained}, before the learning rate had come down: the machine grew slower meanwhile.`)
    const title = `${preset}, ${imageSize} x ${imageSize} pixels: ${trained.toLocaleString('en-US')} steps of ${recipe.batchSize} pictures on ${device}`
    const files = { loss: join(folder, 'loss.jsonl'), curve: join(folder, 'loss.svg'), grid: join(folder, 'grid.png') }
    await fs.writeFile(files.loss, jsonLines(points))
    await fs.writeFile(files.curve, lossCurve({ title, points, baselines }))

    const examples = await examplesOf(studio, run.id, recipe)
    const startedMs = performance.now()
    await fs.writeFile(files.grid, await sheetOf(await draw(studio, run.id, examples, output), imageSize))
    output.line(`Drew ${examples.length * picturesEach} pictures in ${duration((performance.now() - startedMs) / 1000)}.`)
    output.answer(
      {
        device,
        preset,
        imageSize,
        heldOut,
        untrained: baselines.untrained,
        constant: baselines.constant,
        steps: trained,
        plannedSteps: recipe.steps,
        ...pace,
        trainingSeconds: run.seconds,
        ...files,
        prompts: examples.map(({ caption }) => caption),
      },
      [
        'Held-out velocity loss (mean squared error per element):',
        `  this model          ${heldOut?.toFixed(4)}`,
        `  best constant       ${baselines.constant?.toFixed(4)}`,
        `  untrained network   ${baselines.untrained?.toFixed(4)}`,
        `Losses:   ${files.curve}`,
        `Pictures: ${files.grid}, of ${examples.length} held-out captions; no training saw these or their pictures`,
      ].join('\n'),
    )
  })
}

/** A preset for pixels with captions, at another size where one is asked for. @throws StudioError invalid-request where the preset is none. */
function recipeFor(preset: string, size: number | undefined): Recipe {
  const recipe = presetNamed(preset)
  const { model, textEncoder } = recipe
  if (!textEncoder || model.channels !== 3)
    throw new StudioError(
      'invalid-request',
      `The demo trains on pixels and captions alone, and the preset "${preset}" needs an encoder beside it. Choose tiny, small or fine.`,
    )
  const edge = size ?? model.width
  if (edge % model.patchSize !== 0)
    throw new StudioError(
      'invalid-request',
      `--size ${edge} is not a multiple of ${model.patchSize}, the patch size of the preset "${preset}". Choose ${Math.max(1, Math.round(edge / model.patchSize)) * model.patchSize}.`,
    )
  return { ...recipe, model: { ...model, width: edge, height: edge }, samplePrompts: [] }
}

/** The device that the studio computes on. @throws StudioError where it does not work; loading the libraries of a graphics card takes what it takes. */
async function deviceOf(studio: Studio): Promise<string> {
  const { engine } = studio.context
  const { name } = await engine.call('engine.describe', null)
  await engine.describe() // from now on the device's memory says what fits
  return name
}

/** How fast the recipe trains here, by training it for some seconds. */
async function measurePace(studio: Studio, recipe: Recipe, output: Output): Promise<Pace> {
  const never = recipe.steps * 1000
  const forNow = { ...recipe, steps: never, validateEvery: never, checkpointEvery: never }
  const { points, seconds } = await train(studio, 'demo: its pace', forNow, output, { enough: paceIsMeasured })
  return paceOf(points, seconds)
}

/** Trains to the end of the recipe, to a limit of time, or until what was measured is enough. */
async function train(
  studio: Studio,
  name: string,
  recipe: Recipe,
  output: Output,
  { limitMs = Infinity, enough }: { limitMs?: number; enough?: (points: readonly MetricPoint[]) => boolean },
) {
  const project = studio.context.project()
  const startedMs = performance.now()
  const run = await studio.services['training.start']({ name, recipe }, { signal })
  const jobId = project.run(run.id as RunId).jobId!
  const heard: MetricPoint[] = []
  const stop = studio.subscribe(({ name, news }) => {
    if (name !== 'run.progressed') return
    heard.push(...news.points)
    if (enough?.(heard)) void project.queue.cancel(jobId)
    for (const { step, loss, validationLoss } of news.points) {
      if (validationLoss !== null && step > 0)
        output.line(
          `${duration((performance.now() - startedMs) / 1000)}  step ${step} of ${recipe.steps} · loss ${loss?.toFixed(4)} · held out ${validationLoss.toFixed(4)}`,
        )
    }
  })
  // A machine that grew slower since its pace was measured still keeps to the clock; stopping writes a checkpoint.
  const clock = Number.isFinite(limitMs) ? setTimeout(() => void project.queue.cancel(jobId), limitMs) : null
  try {
    await finishJob(studio, project.queue.get(jobId), output)
  } finally {
    if (clock) clearTimeout(clock)
    stop()
  }
  const seconds = (performance.now() - startedMs) / 1000
  const metrics = await studio.services['training.metrics']({ runId: run.id as RunId, afterStep: -1 }, { signal })
  return { id: run.id as RunId, points: metrics.points as MetricPoint[], baselines: metrics.baselines, seconds }
}

/** What the run's own snapshot held out: some of it, by the recipe's seed. */
async function examplesOf(studio: Studio, runId: RunId, { seed }: Recipe): Promise<HeldOutExample[]> {
  const project = studio.context.project()
  using dataset = await openSnapshot(project.folder.dataset, project.run(runId).snapshot)
  return heldOutExamples(dataset, { count: promptCount, seed })
}

async function draw(studio: Studio, runId: RunId, examples: readonly HeldOutExample[], output: Output): Promise<SheetRow[]> {
  const edge = studio.context.project().run(runId).recipe.model.width
  const rows: SheetRow[] = []
  for (const { caption, rgb } of examples) {
    const request = generationRequest.parse({ model: { runId, step: null }, prompt: caption, seed: 1, count: picturesEach })
    const job = await studio.services['generation.enqueue'](request, { signal })
    await finishJob(studio, job as Job, output)
    const pictures = await Promise.all(picturesOf(studio, job.id).map(({ id }) => pixelsOf(studio, id)))
    rows.push({ caption, reference: { rgb, width: edge, height: edge }, pictures })
  }
  return rows
}

async function pixelsOf(studio: Studio, id: PictureId): Promise<SheetPicture> {
  const { data, info } = await sharp(await readFile(studio.context.project().pictureFile(id)!))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { rgb: new Uint8Array(data), width: info.width, height: info.height }
}

function sheetOf(rows: readonly SheetRow[], imageSize: number): Promise<Uint8Array> {
  const heading = `framed: a held-out picture that was never trained on · beside it: drawn from its caption alone, seeds 1 to ${picturesEach}`
  return contactSheet(rows, imageSize * Math.ceil(tileAtLeast / imageSize), { blocks: 2, heading })
}
