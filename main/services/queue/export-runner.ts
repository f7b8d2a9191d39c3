import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { kindIn } from '#contracts/export.ts'
import { writeExport } from '../../media/export/write-export.ts'
import { exportCard } from '../export-card.ts'
import { freezeExport, frozenItems } from '../export-freeze.ts'
import { checkSpace, checkTarget } from '../export-target.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** Writes part of the data set for other programs: the whole folder, or nothing. One that was interrupted begins anew. */
export function exportRunner(project: OpenProject): Runner {
  return async ({ id, payload }, { signal, report }) => {
    if (payload.kind !== 'export') throw new TypeError(`exportRunner: got a job of kind ${payload.kind}`)
    const { request } = payload
    const folder = await checkTarget(project, request.folder)
    const listPath = join(project.folder.exportLists, `${id}.jsonl`)
    await project.fs.folder(project.folder.exportLists)
    try {
      await project.latents.idle()
      const { survey, sizeBytes, card, rooms } = await freezeExport(project, request, listPath, signal)
      await checkSpace(folder, sizeBytes)
      const totals = await writeExport({
        ...rooms,
        ...{ plan: request, folder, key: id, survey, fs: project.fs, signal },
        items: frozenItems(listPath),
        readme: (written, usage) => exportCard(card, request, written, usage),
        onProgress: ({ done, total, source }) =>
          report({ done, total, unit: kindIn(request.layout) === 'clip' ? 'files' : 'pictures', note: source || null }),
      })
      return { kind: 'export', folder, totals }
    } catch (error) {
      if (signal.aborted) throw new StudioError('cancelled', 'The export was ended; nothing of it was kept.', { cause: error })
      throw error
    } finally {
      await project.fs.remove(listPath)
    }
  }
}
