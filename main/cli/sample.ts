import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { generationRequest, type GalleryItem, type SamplerName } from '#contracts/gallery.ts'
import type { Job } from '#contracts/job.ts'
import type { RunId } from '#contracts/project.ts'
import type { Studio } from '../compose.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

interface SampleCommandOptions {
  project: string
  prompt: string
  negative: string
  count: number
  seed: number
  steps: number
  sampler: SamplerName
  cfg: number
  run?: string
  out?: string
}

/** `zigma sample --project DIR --prompt TEXT …`: pictures go to the project's gallery, and to --out as well. */
export async function sampleCommand(output: Output, options: SampleCommandOptions): Promise<void> {
  await withProject(options.project, [], async (studio) => {
    const runId = (options.run ?? studio.context.project().runs.list()[0]?.id) as RunId | undefined
    if (!runId) throw new StudioError('not-found', 'The project has no trained model yet. Run `zigma train` first.')
    const { prompt, negative, count, seed, steps, sampler, cfg } = options
    const request = generationRequest.parse({
      model: { runId, step: null },
      prompt,
      negativePrompt: negative,
      count,
      seed,
      steps,
      sampler,
      cfgScale: cfg,
    })
    const job = await studio.services['generation.enqueue'](request, { signal: new AbortController().signal })
    await finishJob(studio, job as Job, output)
    const pictures = picturesOf(studio, job.id)
    const files = await Promise.all(pictures.map((picture) => copyOut(studio, picture, options.out)))
    output.answer({ runId, pictures: pictures.map((picture, i) => ({ ...picture, file: files[i] })) }, files.join('\n'))
  })
}

/** A job's pictures, first to last. */
export function picturesOf(studio: Studio, jobId: string): GalleryItem[] {
  return studio.context.project().gallery.ofJob(jobId)
}

async function copyOut(studio: Studio, picture: GalleryItem, out: string | undefined): Promise<string> {
  const file = studio.context.project().pictureFile(picture.id)!
  if (!out) return file
  const copy = join(out, basename(file))
  await studio.context.fs.folder(out)
  await studio.context.fs.writeFile(copy, await readFile(file))
  return copy
}
