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
  | 'gallery.rate'
  | 'gallery.trash'
  | 'gallery.restore'
>

/** What is asked for, what waits and what came of it: generation, queue and gallery. */
export function workServices(context: StudioContext): WorkServices {
  const queue = () => context.project().queue
  const gallery = () => context.project().gallery

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
    'gallery.rate': async ({ ids, ...marks }) => {
      await gallery().mark(ids, marks)
      context.publish('gallery.changed', { ids })
      return null
    },
    'gallery.trash': async ({ ids }) => {
      await gallery().mark(ids, { trashed: true })
      context.publish('gallery.changed', { ids })
      return null
    },
    'gallery.restore': async ({ ids }) => {
      await gallery().mark(ids, { trashed: false })
      context.publish('gallery.changed', { ids })
      return null
    },
  }
}
