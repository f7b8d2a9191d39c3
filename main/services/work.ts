import { StudioError } from '#contracts/errors.ts'
import type { StudioServices } from '#contracts/studio.ts'
import type { StudioContext } from './context.ts'

type WorkServices = Pick<
  StudioServices,
  | 'generation.enqueue'
  | 'queue.list'
  | 'queue.pause'
  | 'queue.resume'
  | 'queue.cancel'
  | 'queue.retry'
  | 'queue.runNext'
  | 'queue.move'
  | 'queue.clearEnded'
  | 'gallery.list'
  | 'gallery.get'
  | 'gallery.place'
  | 'gallery.days'
  | 'gallery.rate'
  | 'gallery.trash'
  | 'gallery.restore'
  | 'gallery.undo'
>

/** What is asked for, what waits and what came of it: generation, queue and gallery. */
export function workServices(context: StudioContext): WorkServices {
  const queue = () => context.project().queue
  const gallery = () => context.project().gallery
  /** Tells the pages where something changed. */
  async function tell(changing: Promise<number>): Promise<{ changed: number }> {
    const changed = await changing
    if (changed > 0) context.publish('gallery.changed', null)
    return { changed }
  }

  return {
    'generation.enqueue': async (request) => {
      const project = context.project()
      project.run(request.model.runId)
      const title = request.prompt.trim() || project.run(request.model.runId).name
      return project.queue.add(title.slice(0, 120), { kind: 'sample', request })
    },
    'queue.list': async () => ({ status: queue().status, jobs: queue().list() }),
    'queue.pause': async ({ when }) => queue().pause(when),
    'queue.resume': async () => queue().resume(),
    'queue.cancel': ({ id }) => queue().cancel(id),
    'queue.retry': async ({ id }) => queue().retry(id),
    'queue.runNext': async ({ id }) => queue().runNext(id),
    'queue.move': async ({ id, before }) => queue().move(id, before),
    'queue.clearEnded': async () => {
      queue().clearEnded()
      return null
    },
    'gallery.list': async (query) => gallery().list(query),
    'gallery.get': async ({ id }) => {
      const item = gallery().get(id)
      if (!item) throw new StudioError('not-found', `There is no picture "${id}" in the gallery.`)
      return item
    },
    'gallery.place': async ({ id, filter }) => gallery().place(id, filter),
    'gallery.days': async (filter) => gallery().days(filter),
    'gallery.rate': ({ target, ...marks }) => tell(gallery().mark(target, marks)),
    'gallery.trash': ({ target }) => tell(gallery().mark(target, { trashed: true })),
    'gallery.restore': ({ target }) => tell(gallery().mark(target, { trashed: false })),
    'gallery.undo': () => tell(gallery().undo()),
  }
}
