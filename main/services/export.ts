import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { kindIn, type SnapshotRecord } from '#contracts/export.ts'
import type { StudioServices } from '#contracts/studio.ts'
import { estimate, sampleItems } from '../media/export/estimate.ts'
import { SurveyCount } from '../media/export/survey.ts'
import { countLines } from '../store/line-reader.ts'
import { isCode } from '../store/safe-fs.ts'
import type { StudioContext } from './context.ts'
import { datasetCard } from './dataset-card.ts'
import { lookUp, roomsOf } from './export-freeze.ts'
import { checkPlace, checkSpace, checkTarget, safeName, suggestTarget } from './export-target.ts'
import type { OpenProject } from './open-project.ts'
import { freeBytes } from './system.ts'

type ExportServices = Pick<
  StudioServices,
  'export.forecast' | 'export.suggestFolder' | 'export.start' | 'export.snapshots' | 'export.saveCard'
>

/** Handing the data set to other programs. */
export function exportServices(context: StudioContext): ExportServices {
  return {
    'export.forecast': async ({ folder, ...plan }, { signal }) => {
      const project = context.project()
      const rooms = await roomsOf(project, plan)
      const { counts, sample } = await lookUp(project, plan, rooms, async (listed) => ({
        counts: listed.counts(kindIn(plan.layout)),
        sample: await listed.sample(sampleItems, kindIn(plan.layout)),
      }))
      const survey = new SurveyCount(kindIn(plan.layout))
      for (const item of sample) survey.add(item)
      const told = await estimate(sample, counts.items, { ...rooms, plan }, survey.end(counts.rejected), signal)
      return { ...counts, ...told, freeBytes: await freeBytes(folder ?? project.folder.exports) }
    },
    'export.suggestFolder': async ({ layout, parent }) => ({ folder: await suggestTarget(context.project(), layout, parent) }),
    'export.start': async (request) => {
      const project = context.project()
      const folder = await checkTarget(project, request.folder)
      // A mistake in the query and latents that are not there are told now, not by the job.
      await lookUp(project, request, await roomsOf(project, request), async () => undefined)
      return project.queue.add(`${request.layout}: ${folder}`, { kind: 'export', request: { ...request, folder } })
    },
    'export.snapshots': () => snapshots(context.project()),
    'export.saveCard': async ({ folder }) => {
      const project = context.project()
      const place = await checkPlace(project, folder)
      const summary = await project.describeDataset()
      const markdown = await project.index.fresh(() => datasetCard(project.file.name, summary, project.figures.cardFacts()))
      await checkSpace(join(place, 'card'), markdown.length)
      for (let i = 1; ; i++) {
        const path = join(place, `${safeName(project.file.name)} card${i === 1 ? '' : ` ${i}`}.md`)
        if (await project.fs.createFile(path, markdown)) return { path }
      }
    },
  }
}

/** The snapshots that runs have frozen, the newest first. */
async function snapshots(project: OpenProject): Promise<SnapshotRecord[]> {
  const folder = join(project.folder.dataset, 'snapshots')
  const names = await readdir(folder).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw error
  })
  const runs = project.runs.list()
  const records: SnapshotRecord[] = []
  for (const name of names.filter((one) => /^[0-9a-f]{64}\.jsonl$/.test(one))) {
    const path = join(folder, name)
    const snapshot = basename(name, '.jsonl')
    records.push({
      name: snapshot,
      items: await countLines(path),
      frozenAt: (await stat(path)).mtime.toISOString(),
      runs: runs.filter((run) => run.snapshot === snapshot).map((run) => run.name),
    })
  }
  return records.sort((a, b) => (a.frozenAt < b.frozenAt ? 1 : -1))
}
