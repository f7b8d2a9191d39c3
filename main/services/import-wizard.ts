import { randomUUID } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { StudioError, toWire } from '#contracts/errors.ts'
import type { ImportDraft, ResumedDraft } from '#contracts/import-wizard.ts'
import { mediaUrl, type StudioServices } from '#contracts/studio.ts'
import { gather } from '../media/gather.ts'
import { checkImport } from '../media/import-check.ts'
import { weigh } from '../media/source-weight.ts'
import { isStagedPath } from '../store/staged-drops.ts'
import type { StudioContext } from './context.ts'
import { checkSource, isAllowed, startImport, titleOf } from './dataset.ts'
import { freeBytes } from './system.ts'

type ImportServices = Pick<
  StudioServices,
  'import.draft' | 'import.keepDraft' | 'import.dropDraft' | 'import.gather' | 'import.weigh' | 'import.check' | 'import.start'
>

/** The way from a folder or file to an import, step by step; where one is stands in the project. */
export function importServices(context: StudioContext): ImportServices {
  return {
    'import.draft': async () => {
      const { draft } = context.project()
      const kept = await draft.read()
      return kept && resume(context, kept)
    },
    'import.keepDraft': async (kept) => {
      await context.project().draft.keep(kept)
      return resume(context, kept)
    },
    'import.dropDraft': async () => {
      await context.project().draft.drop()
      return null
    },
    'import.gather': async ({ paths }) => {
      const { folder, fs } = context.project()
      const checked = await Promise.all(paths.map((path) => checkSource(context, { kind: 'folder', path })))
      const drop = join(folder.staging, randomUUID())
      await gather(
        checked.flatMap((source) => (source.kind === 'sample' ? [] : [source.path])),
        drop,
        fs,
      )
      return { path: await realpath(drop) }
    },
    'import.weigh': async (source) => {
      const checked = await checkSource(context, source)
      const free = await freeBytes(context.project().folder.root)
      if (checked.kind === 'sample') return { files: 0, sizeBytes: 0, isWhole: false, freeBytes: free }
      return { ...(await weigh(checked.path)), freeBytes: free }
    },
    'import.check': async ({ source, options }, { signal }) => {
      const project = context.project()
      const { report, pictures } = await checkImport(await checkSource(context, source), options, {
        ledgerPath: project.dataset.ledgerPath,
        originalsFolder: project.folder.originals,
        allowances: project.allowances,
        mayRead: (path) => isAllowed(context.allowedRoots, path),
        ffmpeg: () => project.videos.ffmpeg(),
        signal,
      })
      const id = randomUUID()
      project.checked = { id, pictures }
      return {
        ...report,
        pictures: report.pictures.map((picture, index) => ({ ...picture, pictureUrl: mediaUrl.checked(id, index) })),
      }
    },
    'import.start': async () => {
      const { draft } = context.project()
      const kept = await draft.read()
      if (!kept?.source) throw new StudioError('invalid-request', 'Nothing is chosen to be imported. Choose a folder or a file first.')
      // An import of this draft that stands still gives way.
      const before = context
        .project()
        .queue.list()
        .find(({ id }) => id === kept.jobId)
      if (before && ['queued', 'paused', 'interrupted'].includes(before.state)) await context.project().queue.cancel(before.id)
      const job = await startImport(context, kept.source, kept.options)
      await draft.keep({ ...kept, step: 'import', jobId: job.id })
      return job
    },
  }
}

/** A draft as it is come back to: an import that has ended since is at its ledger, a source that has gone says so. */
async function resume(context: StudioContext, draft: ImportDraft): Promise<ResumedDraft> {
  const { queue } = context.project()
  const job = queue.list().find(({ id }) => id === draft.jobId)
  // A job that was cleared from the list had ended.
  const step = draft.step === 'import' && (!job || job.state === 'done') ? 'ledger' : draft.step
  const { source } = draft
  if (!source) return { ...draft, step, title: null, isDropped: false, problem: null }
  const isDropped = source.kind !== 'sample' && isStagedPath(source.path)
  try {
    const checked = await checkSource(context, source)
    return { ...draft, step, title: await titleOf(context, checked), isDropped, problem: null }
  } catch (error) {
    const title = source.kind === 'sample' ? null : source.path
    return { ...draft, step, title: job?.title ?? title, isDropped, problem: step === 'ledger' ? null : toWire(error).message }
  }
}
