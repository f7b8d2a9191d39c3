import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import { kindIn, type ExportPlan } from '#contracts/export.ts'
import type { ExportItem, Survey } from '../media/export/export-item.ts'
import { estimate, sampleItems } from '../media/export/estimate.ts'
import { LineFile } from '../media/export/line-file.ts'
import type { PictureRooms } from '../media/export/export-pictures.ts'
import { SurveyCount } from '../media/export/survey.ts'
import type { Asked, ListedItems } from '../store/export-list.ts'
import { readLines } from '../store/line-reader.ts'
import { exists } from '../store/safe-fs.ts'
import { datasetCard } from './dataset-card.ts'
import { checkLatents, latentsOf } from './export-latents.ts'
import type { OpenProject } from './open-project.ts'

/** What an export is going to write, as it was when it began: later edits do not reach it. */
export interface FrozenExport {
  survey: Survey
  /** What it will take on the disk, about. */
  sizeBytes: number
  /** The card of the items, as Markdown. */
  card: string
}

/** Writes the items of an export down, one a line, in its order. @throws StudioError as `lookUp`; disk-full. */
export async function freezeExport(
  project: OpenProject,
  plan: ExportPlan,
  listPath: string,
  signal: AbortSignal,
): Promise<FrozenExport & { rooms: PictureRooms }> {
  const rooms = await roomsOf(project, plan)
  const { sample, ...frozen } = await lookUp(project, plan, rooms, async (listed) => {
    const count = new SurveyCount(kindIn(plan.layout))
    const lines = new LineFile(await project.fs.newFile(listPath))
    try {
      for await (const items of listed.pages()) {
        signal.throwIfAborted()
        for (const item of items) {
          count.add(item)
          await lines.add(JSON.stringify(item))
        }
      }
      await lines.keep()
    } catch (error) {
      await lines.discard()
      throw error
    }
    const survey = count.end(listed.counts(kindIn(plan.layout)).rejected)
    const summary = project.figures.describe(rooms.imageSize)
    const card = datasetCard(
      project.file.name,
      { ...summary, snapshot: snapshotOf(plan, summary.snapshot) },
      project.figures.cardFacts(listed.condition(kindIn(plan.layout))),
    )
    return { survey, card, rooms, sample: await listed.sample(sampleItems, kindIn(plan.layout)) }
  })
  // Originals may lie on a slow disk: nobody waits for them with an edit.
  const held = Object.values(frozen.survey.splits).reduce((sum, items) => sum + items, 0)
  const { sizeBytes } = await estimate(sample, held, { ...rooms, plan }, frozen.survey, signal)
  return { ...frozen, sizeBytes }
}

/** The items that were written down. */
export async function* frozenItems(listPath: string): AsyncGenerator<ExportItem> {
  for await (const { text } of readLines(listPath)) yield JSON.parse(text) as ExportItem // our own words of a moment ago
}

/** Looks up what a plan asks for and does work on it, while nobody else changes the data set. @throws StudioError invalid-request; not-found. */
export async function lookUp<T>(
  project: OpenProject,
  plan: ExportPlan,
  { latents }: Pick<PictureRooms, 'latents'>,
  work: (listed: ListedItems) => Promise<T>,
): Promise<T> {
  if (plan.layout === 'zigma' && plan.pixels === 'originals')
    throw new StudioError(
      'invalid-request',
      "ZigMa's own code reads pictures of one format and size, so its layout takes the training pixels. Choose these, or another layout.",
    )
  if (kindIn(plan.layout) === 'clip' && plan.pixels === 'originals')
    throw new StudioError(
      'invalid-request',
      'A clip is a part of a video as it is trained on, so the video folder takes the training pixels. Choose these, or another layout.',
    )
  const asked = await askedOf(project, plan)
  return project.index.fresh(() =>
    project.exportList.with(asked, plan.pixels === 'originals' ? 'import' : 'id', async (listed) => {
      if (latents) await checkLatents(listed, latents)
      return work(listed)
    }),
  )
}

/** Where the pixels and latents of a plan's items are. @throws StudioError bad-source when there are none; invalid-request. */
export async function roomsOf(project: OpenProject, plan: Pick<ExportPlan, 'layout' | 'pixels' | 'latents'>): Promise<PictureRooms> {
  const imageSize = await project.dataset.imageSize()
  const ofClips = kindIn(plan.layout) === 'clip'
  if (imageSize === null) {
    const hasClips = (await project.clips.clips()).length > 0
    if (!hasClips) throw new StudioError('bad-source', `The data set is empty. Import ${ofClips ? 'videos' : 'pictures'} first.`)
    if (!ofClips)
      throw new StudioError(
        'bad-source',
        'The data set holds clips and no picture. Import pictures, or export the clips as a video folder.',
      )
  }
  return {
    ...{ plan, imageSize, clips: project.clips, datasetFolder: project.folder.dataset, originalsFolder: project.folder.originals },
    latents: await latentsOf(project, plan, imageSize),
    ffmpeg: ofClips ? await project.videos.ffmpeg() : null,
  }
}

async function askedOf(project: OpenProject, { what }: ExportPlan): Promise<Asked> {
  if (what.kind !== 'snapshot') return { target: what }
  const snapshotPath = join(project.folder.dataset, 'snapshots', `${what.name}.jsonl`)
  if (!(await exists(snapshotPath)))
    throw new StudioError('not-found', `There is no snapshot "${what.name.slice(0, 12)}…" in this project. Choose one of its list.`)
  return { snapshotPath }
}

/** The name of what is exported, where it is a snapshot or all that is in training. */
function snapshotOf({ what }: ExportPlan, all: string | null): string | null {
  if (what.kind === 'snapshot') return what.name
  return what.kind === 'query' && what.filter.text.trim() === '' && what.except.length === 0 ? all : null
}
