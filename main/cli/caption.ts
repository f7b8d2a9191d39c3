import { resolve } from 'node:path'
import { captionerChoice, captionRules, type CaptionPlace, type CaptionerKind, type CaptionRules } from '#contracts/captioning.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Job } from '#contracts/job.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

interface Asked {
  project: string
  by: CaptionerKind
  query: string
  template?: string
  folder?: string
  threshold?: number
  address?: string
  model?: string
  prompt?: string
  concurrency?: number
  confirmHost?: string
  place: CaptionPlace
  tags: CaptionRules['tags']
  overHandwritten?: boolean
  preview?: number
}

/** `zigma caption --project DIR --by WAY`: ends with how many were described, changed and not, and why. */
export async function captionCommand(output: Output, asked: Asked): Promise<void> {
  const { by: kind, template, threshold: general, address, model, prompt, concurrency, confirmHost: confirmedHost } = asked
  const folder = asked.folder === undefined ? undefined : resolve(asked.folder)
  const given = { kind, template, folder, general, address, model, prompt, concurrency, confirmedHost }
  const parsed = captionerChoice.safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new StudioError(
      'invalid-request',
      `--by ${kind} needs a good --${issue?.path.join('.')} (${issue?.message}). See zigma caption --help.`,
    )
  }
  const request = {
    target: { kind: 'query' as const, filter: { text: asked.query, buckets: [] }, except: [] },
    captioner: parsed.data,
    rules: captionRules.parse({ caption: asked.place, tags: asked.tags, overHandwritten: asked.overHandwritten === true }),
  }
  await withProject(asked.project, folder === undefined ? [] : [folder], async (studio) => {
    const call = { signal: new AbortController().signal }
    if (asked.preview !== undefined) {
      const preview = await studio.services['captioning.preview']({ ...request, items: Math.min(8, asked.preview) }, call)
      const lines = preview.examples.map(({ source, after, problem, kept }) =>
        problem
          ? `  ${JSON.stringify(source)}: ${problem}`
          : `  ${JSON.stringify(source)}: ${after.caption}${kept ? ' (kept as it is)' : ''} [${after.tags.join(', ')}]`,
      )
      return output.answer(
        preview,
        [`${preview.matched} pictures would be described by ${preview.maker.name}. The first:`, ...lines].join('\n'),
      )
    }
    const job = (await studio.services['captioning.run'](request, call)) as Job
    const { result } = await finishJob(studio, job, output)
    if (result?.kind !== 'caption') throw new TypeError('caption: the job ended without its result')
    const { maker, described, changed, failed, failures } = result
    output.answer(
      { maker, described, changed, failed, failures },
      [
        `${described} pictures described by ${maker.name}, ${changed} changed as one edit, ${failed} not described.`,
        ...failures.slice(0, 20).map(({ source, reason }) => `  ${JSON.stringify(source)}: ${reason}`),
        ...(failed > 20 ? [`  and ${failed - 20} more (--json lists up to 500)`] : []),
      ].join('\n'),
    )
  })
}
