import { mkdir, realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { exportRequest, kindIn, type ExportLayout, type ExportPlan } from '#contracts/export.ts'
import type { Job } from '#contracts/job.ts'
import { readProject } from '../store/project-folder.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

interface Asked {
  project: string
  layout: ExportLayout
  out: string
  query?: string
  snapshot?: string
  pixels: ExportPlan['pixels']
  together?: boolean
  tags?: boolean
  latents?: boolean
}

/** `zigma export --project DIR --layout L --out DIR`: ends with what is in the folder and what was left out. */
export async function exportCommand(output: Output, options: Asked): Promise<void> {
  const { project, layout, out, query, snapshot, pixels, together, tags, latents } = options
  if (query !== undefined && snapshot !== undefined)
    throw new StudioError('invalid-request', 'Give --query or --snapshot, not both: a snapshot is a list of its own.')
  if (!(await readProject(resolve(project))))
    throw new StudioError('not-found', `There is no project in "${resolve(project)}". Choose the folder that holds its project.json.`)
  const folder = resolve(out)
  await mkdir(dirname(folder), { recursive: true })
  const parsed = exportRequest.safeParse({
    ...{ layout, pixels, folder, splits: together ? 'together' : 'folders', tags: tags ? 'in-captions' : 'beside' },
    latents: latents ?? false,
    ...(query === undefined ? {} : { what: { kind: 'query', filter: { text: query } } }),
    ...(snapshot === undefined ? {} : { what: { kind: 'snapshot', name: snapshot } }),
  })
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new StudioError('invalid-request', `${issue?.path.join('.')}: ${issue?.message}.`)
  }
  await withProject(project, [await realpath(dirname(folder))], async (studio) => {
    const signal = new AbortController().signal
    const job = (await studio.services['export.start'](parsed.data, { signal })) as Job
    const { result } = await finishJob(studio, job, output)
    if (result?.kind !== 'export') throw new TypeError('export: the job ended without its result')
    const { items, leftOut, sizeBytes } = result.totals
    const missing = leftOut.map(({ reason, items: count }) => `${count} ${reason}`).join(', ')
    output.answer(
      { folder: result.folder, layout, pixels, ...result.totals },
      `${items} ${kindIn(layout)}s in "${result.folder}" (${(sizeBytes / 1024 ** 2).toFixed(1)} MiB)${missing ? `; left out: ${missing}, see left-out.jsonl` : ''}.`,
    )
  })
}
