import { StudioError } from '#contracts/errors.ts'
import type { StudioServices } from '#contracts/studio.ts'
import type { StudioContext } from './context.ts'

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
>

/** Looking through the data set and saying things about its items. */
export function curationServices(context: StudioContext): CurationServices {
  const fresh = <T>(read: (items: ReturnType<StudioContext['project']>['items']) => T): Promise<T> => {
    const { index, items } = context.project()
    return index.fresh(() => read(items))
  }
  const curation = () => context.project().curation

  return {
    'curation.query': (query) => fresh((items) => items.query(query)),
    'curation.get': ({ id }) =>
      fresh((items) => {
        const item = items.get(id)
        if (!item) throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
        return item
      }),
    'curation.edit': (edit) => curation().edit(edit),
    'curation.preview': ({ examples, ...edit }) => curation().preview(edit, examples),
    'curation.undo': () => curation().undo(),
    'curation.redo': () => curation().redo(),
    'curation.history': () => curation().history(),
    'curation.histogram': ({ filter, measure, bins }) => fresh((items) => items.histogram(filter, measure, bins)),
    'curation.buckets': ({ filter, sizes }) => fresh((items) => items.buckets(filter, sizes)),
    'curation.tags': ({ text, limit }) => fresh((items) => items.tags(text, limit)),
    'curation.measure': async () => {
      const { queue, file } = context.project()
      return queue.add(file.name, { kind: 'measure' })
    },
    'curation.duplicates': (request) => fresh((items) => items.duplicates(request)),
  }
}
