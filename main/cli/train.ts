import { readFile } from 'node:fs/promises'
import { inLatents } from '#contracts/autoencoder.ts'
import { StudioError } from '#contracts/errors.ts'
import type { RunId } from '#contracts/project.ts'
import { recipe as recipeSchema, type Recipe } from '#contracts/recipe.ts'
import { presets } from '#engine/presets.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

interface TrainOptions {
  project: string
  preset?: string
  recipe?: string
  steps?: number
  seed?: number
  name?: string
  resume?: string
  latents?: boolean
}

/** `zigma train --project DIR --preset NAME|--recipe FILE`. */
export async function trainCommand(output: Output, options: TrainOptions): Promise<void> {
  const chosen = options.resume ? null : await chosenRecipe(options)
  await withProject(options.project, [], async (studio) => {
    const project = studio.context.project()
    const context = { signal: new AbortController().signal }
    const autoencoder = options.latents ? await project.autoencoders.chosen() : null
    if (options.latents && !autoencoder)
      throw new StudioError(
        'invalid-request',
        'The project has no autoencoder. Choose one with `zigma autoencoder FOLDER`, or leave --latents out.',
      )
    const recipe = chosen && autoencoder ? inLatents(chosen, autoencoder) : chosen
    const { waiting } = await studio.services['curation.cropsLeft'](null, context)
    if (recipe && waiting > 0) await finishJob(studio, project.cropping.startJob(), output)
    const run = recipe
      ? await studio.services['training.start']({ name: options.name ?? recipe.preset ?? 'run', recipe }, context)
      : await studio.services['training.resume']({ runId: options.resume as RunId }, context)
    const stop = studio.subscribe(({ name, news }) => {
      if (name !== 'run.progressed') return
      for (const { step, loss, validationLoss } of news.points)
        if (validationLoss !== null) output.line(`step ${step} · loss ${loss?.toFixed(4) ?? '–'} · held out ${validationLoss.toFixed(4)}`)
    })
    await finishJob(studio, project.queue.get(project.run(run.id as RunId).jobId!), output)
    stop()
    const ended = await project.describeRun(project.run(run.id as RunId))
    output.answer(
      ended,
      `Run ${ended.id} is at step ${ended.step} of ${ended.recipe.steps}${ended.loss === null ? '' : `, loss ${ended.loss.toFixed(4)}`}.`,
    )
  })
}

async function chosenRecipe({ preset, recipe: file, steps, seed }: TrainOptions): Promise<Recipe> {
  if ((preset === undefined) === (file === undefined))
    throw new StudioError('invalid-request', 'Give either --preset NAME or --recipe FILE.')
  const base = preset === undefined ? await readRecipe(file!) : presetNamed(preset)
  return { ...base, ...(steps === undefined ? {} : { steps }), ...(seed === undefined ? {} : { seed }) }
}

/** @throws StudioError for a name that is not a preset, with those that are. */
export function presetNamed(name: string): Recipe {
  const found = presets.find((one) => one.name === name)
  if (!found)
    throw new StudioError('invalid-request', `There is no preset "${name}". Choose one of ${presets.map((one) => one.name).join(', ')}.`)
  return found.recipe
}

async function readRecipe(file: string): Promise<Recipe> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new StudioError('invalid-request', `The recipe "${file}" cannot be read. Check its path.`, { cause })
  })
  try {
    return recipeSchema.parse(JSON.parse(text))
  } catch (cause) {
    const issue =
      cause && typeof cause === 'object' && 'issues' in cause ? (cause.issues as { path: unknown[]; message: string }[])[0] : null
    throw new StudioError(
      'invalid-request',
      `The recipe "${file}" is not of the expected form: ${issue ? `${issue.path.join('.')}: ${issue.message}` : 'it is not JSON'}.`,
      { cause },
    )
  }
}
