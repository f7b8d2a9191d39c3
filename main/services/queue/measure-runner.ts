import { measurePicture } from '../../media/picture-measures.ts'
import { readOriginals } from '../../media/originals.ts'
import type { Measured } from '../../store/measure-log.ts'
import { findDuplicates } from '../duplicates.ts'
import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

const keepItems = 500
const keepEveryMs = 20_000 // no more than this is done twice after a crash

/** Measures the items that are not measured yet, from their originals, and then finds duplicates among all. */
export function measureRunner(project: OpenProject): Runner {
  return async ({ payload }, { signal, report }) => {
    if (payload.kind !== 'measure') throw new TypeError(`measureRunner: got a job of kind ${payload.kind}`)
    const { index, alike } = project
    const waiting = await index.fresh(() => alike.unmeasured())
    const total = waiting.length
    let lines: Measured[] = []
    let [done, measured, missing] = [0, 0, 0]
    let keptAt = performance.now()
    const keep = async () => {
      if (lines.length > 0) await index.measureLog.add(lines)
      lines = []
      keptAt = performance.now()
    }
    try {
      for (const [root, wanted] of Map.groupBy(waiting, ({ root: one }) => one)) {
        for await (const [{ id, source }, bytes] of readOriginals(root, wanted, project.folder.originals)) {
          signal.throwIfAborted()
          report({ done: done++, total, unit: 'pictures', note: source })
          const figures = bytes && (await measurePicture(bytes).catch(() => null)) // told as missing, and tried again next time
          if (figures) lines.push({ id, ...figures })
          if (figures) measured++
          else missing++
          if (lines.length >= keepItems || performance.now() - keptAt > keepEveryMs) await keep()
        }
      }
    } finally {
      await keep() // also of a job that is ended: what was measured stays measured
    }
    await findDuplicates(index, alike)
    report({ done: total, total, unit: 'pictures', note: null })
    project.tellCuration()
    return { kind: 'measure', measured, missing }
  }
}
