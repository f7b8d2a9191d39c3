import type { CurationTarget } from '#contracts/curation.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import type { StudioServices } from '#contracts/studio.ts'
import type { EditMaker } from '../store/curation-journal.ts'
import type { Tally } from '../store/dataset-figures.ts'
import type { CaptionableItem } from '../store/item-store.ts'
import type { StudioContext } from './context.ts'
import { datasetCard } from './dataset-card.ts'
import type { OpenProject } from './open-project.ts'

type CurationServices = Pick<
  StudioServices,
  | 'curation.query'
  | 'curation.get'
  | 'curation.edit'
  | 'curation.preview'
  | 'curation.undo'
  | 'curation.redo'
  | 'curation.history'
  | 'curation.histogram'
  | 'curation.buckets'
  | 'curation.tags'
  | 'curation.measure'
  | 'curation.duplicates'
  | 'curation.duplicatePlace'
  | 'curation.keep'
  | 'curation.original'
  | 'curation.card'
  | 'curation.cropArea'
  | 'curation.cropsLeft'
  | 'curation.makeCrops'
>

/** Looking through the data set and saying things about its items. */
export function curationServices(context: StudioContext): CurationServices {
  const fresh = <T>(read: (project: OpenProject) => T): Promise<T> => {
    const project = context.project()
    return project.index.fresh(() => read(project))
  }
  const curation = () => context.project().curation

  return {
    'curation.query': (query) => fresh(({ items }) => items.query(query)),
    'curation.get': ({ id }) =>
      fresh(({ items }) => {
        const item = items.get(id)
        if (!item) throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
        return item
      }),
    'curation.edit': (edit) => curation().edit(edit),
    'curation.preview': ({ examples, ...edit }) => curation().preview(edit, examples),
    'curation.undo': () => curation().undo(),
    'curation.redo': () => curation().redo(),
    'curation.history': () => curation().history(),
    'curation.histogram': ({ filter, measure, bins }) => fresh(({ figures }) => figures.histogram(filter, measure, bins)),
    'curation.buckets': ({ filter, sizes }) => fresh(({ figures }) => figures.buckets(filter, sizes)),
    'curation.tags': ({ text, limit }) => fresh(({ figures }) => figures.tags(text, limit)),
    'curation.measure': async () => {
      const { queue, file } = context.project()
      return queue.add(file.name, { kind: 'measure' })
    },
    'curation.duplicates': (request) => fresh(({ duplicates }) => duplicates.page(request)),
    'curation.duplicatePlace': ({ id, list }) => fresh(({ duplicates }) => ({ place: duplicates.place(id, list) })),
    'curation.keep': (request) => curation().keep(request),
    'curation.original': async ({ id }) => ({ away: await context.project().cropping.originalAway(id) }),
    'curation.cropArea': ({ id, crop }) => context.project().cropping.areaOf(id, crop),
    'curation.cropsLeft': () => context.project().cropping.left(),
    'curation.makeCrops': async () => context.project().cropping.startJob(),
    'curation.card': async () => {
      const project = context.project()
      const summary = await project.describeDataset()
      const { captions } = await project.dataset.journal.made()
      const kept: CurationTarget = { kind: 'query', filter: { text: '-pick:reject', buckets: [] }, except: [] }
      const all = captions.size > 0 ? await project.curation.words(kept) : []
      return fresh(({ file, figures }) => ({ markdown: datasetCard(file.name, summary, figures.cardFacts(), captionsBy(all, captions)) }))
    },
  }
}

/** How many captions are, word for word, what each captioner wrote. */
function captionsBy(items: readonly CaptionableItem[], made: ReadonlyMap<ItemId, ReadonlyMap<string, EditMaker>>): Tally[] {
  const counts = new Map<string, number>()
  for (const { id, caption } of items) {
    const by = made.get(id)?.get(caption)
    if (!by) continue
    const name = `${by.name} (${by.hash.slice(0, 12)})`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([value, count]) => ({ value, items: count })).sort((a, b) => b.items - a.items)
}
