import { listedFailures, type CaptionFailure } from '#contracts/captioning.ts'
import { CaptionLog } from '../../store/caption-log.ts'
import type { CaptionableItem } from '../../store/item-store.ts'
import { applySaid, isWanted } from '../captioning/caption-rules.ts'
import type { Said } from '../captioning/captioner.ts'
import { describeItems } from '../captioning/describe-items.ts'
import { openCaptioner } from '../captioning/open-captioner.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

const keepItems = 200
const keepEveryMs = 5000 // no more than this is said twice after a crash
const nothingMade: ReadonlySet<string> = new Set()

/**
 * Describes items by a captioner. What it says is kept as it comes and written as one edit at the end, so that one undo takes all of it
 * back; a job that is ended before changes nothing, and goes on from what was said when it is tried again.
 */
export function captionRunner(project: OpenProject): Runner {
  return async ({ id: jobId, payload }, { signal, report }) => {
    if (payload.kind !== 'caption') throw new TypeError(`captionRunner: got a job of kind ${payload.kind}`)
    const { target, captioner: choice, rules } = payload.request
    const { curation, dataset, folder } = project
    const captioner = await openCaptioner(choice, project, signal)
    const { maker } = captioner
    const log = new CaptionLog(folder.captioning, payload.request, project.fs)
    const made = await dataset.journal.made()
    const written = made.jobs.get(jobId) // the studio was killed between the edit and the job's end
    const madeFor = (id: CaptionableItem['id']) => new Set(made.captions.get(id)?.keys() ?? nothingMade)
    if (written !== undefined) {
      await log.remove()
      return { kind: 'caption', maker, described: written, changed: written, failed: 0, failures: [] }
    }

    const wanted = (await curation.words(target)).filter((item) => isWanted(item, captioner.gives, rules, madeFor(item.id)))
    const said = await log.begin(maker)
    const waiting = wanted.filter(({ id }) => !said.has(id))
    const failures: CaptionFailure[] = []
    let lines: (Said & { id: CaptionableItem['id'] })[] = []
    let [failed, keptAt] = [0, performance.now()]
    const total = wanted.length
    const tell = (note: string | null) =>
      report({ done: Math.min(total, total - waiting.length + count + failed), total, unit: 'pictures', note })
    let count = 0
    const keep = async () => {
      const kept = lines
      lines = []
      keptAt = performance.now()
      if (kept.length > 0) await log.add(kept)
    }
    try {
      await describeItems(captioner, waiting, {
        originalsFolder: folder.originals,
        signal,
        onBegin: ({ source }) => tell(source),
        onSaid: async ({ id }, words) => {
          said.set(id, words)
          lines.push({ id, ...words })
          count++
          if (lines.length >= keepItems || performance.now() - keptAt > keepEveryMs) await keep()
        },
        onFailed: (failure) => {
          failed++
          if (failures.length < listedFailures) failures.push(failure)
        },
      })
    } finally {
      await keep()
      await captioner.close?.()
    }
    const ids = wanted.map(({ id }) => id).filter((id) => said.has(id))
    const rule = (item: Parameters<typeof applySaid>[0]) => applySaid(item, said.get(item.id)!, rules, madeFor(item.id))
    const changed = ids.length > 0 ? (await curation.rewrite(ids, rule, { ...maker, jobId })).changed : 0
    await log.remove()
    report({ done: total, total, unit: 'pictures', note: null })
    return { kind: 'caption', maker, described: ids.length, changed, failed, failures }
  }
}
