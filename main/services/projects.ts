import { join } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { ProjectId, ProjectSummary } from '#contracts/project.ts'
import type { StudioServices } from '#contracts/studio.ts'
import { createProject, readProject, writeProject } from '../store/project-folder.ts'
import type { KnownProject } from '../store/registry.ts'
import { exists } from '../store/safe-fs.ts'
import type { StudioContext } from './context.ts'
import { OpenProject } from './open-project.ts'

const trashFolder = '.trash'

type ProjectServices = Pick<
  StudioServices,
  | 'projects.list'
  | 'projects.current'
  | 'projects.create'
  | 'projects.open'
  | 'projects.close'
  | 'projects.rename'
  | 'projects.trash'
  | 'projects.restore'
>

export function projectServices(context: StudioContext): ProjectServices {
  const { registry, fs } = context
  const summary = async (known: KnownProject): Promise<ProjectSummary> => ({
    ...known,
    reachable: await exists(join(known.folder, 'project.json')),
    open: context.current()?.file.id === known.id,
  })
  const find = async (id: ProjectId): Promise<KnownProject> => {
    const known = await registry.get(id)
    if (!known) throw new StudioError('not-found', `There is no project "${id}" on this machine's list.`)
    return known
  }
  const keep = async (known: KnownProject): Promise<ProjectSummary> => {
    await registry.put(known)
    context.publish('projects.changed', null)
    return summary(known)
  }

  const inTurn =
    <A, R>(work: (request: A) => Promise<R>) =>
    (request: A): Promise<R> =>
      context.inTurn(() => work(request))

  return {
    'projects.list': async () => Promise.all((await registry.list()).map(summary)),
    'projects.current': async () => {
      const current = context.current()
      return current ? summary(await find(current.file.id)) : null
    },
    'projects.create': inTurn(async ({ name }) => {
      const folder = await freeFolder(context.projectsFolder, name)
      await createProject(fs, folder, name)
      return summary(await openProject(context, folder))
    }),
    'projects.open': inTurn(async ({ id }) => summary(await openProject(context, (await find(id)).folder))),
    'projects.close': inTurn(async () => {
      await closeProject(context)
      return null
    }),
    'projects.rename': inTurn(async ({ id, name }) => {
      const known = await find(id)
      const file = await readProject(known.folder)
      if (!file) throw new StudioError('not-found', `The folder "${known.folder}" cannot be reached. Connect its drive and try again.`)
      await writeProject(fs, known.folder, { ...file, name })
      return keep({ ...known, name })
    }),
    'projects.trash': inTurn(async ({ id }) => {
      const known = await find(id)
      if (known.trashed) return null
      if (context.current()?.file.id === id) await closeProject(context)
      const folder = join(known.folder, '..', trashFolder, known.id)
      await fs.move(known.folder, folder)
      await keep({ ...known, folder, trashed: true })
      return null
    }),
    'projects.restore': inTurn(async ({ id }) => {
      const known = await find(id)
      if (!known.trashed) return summary(known)
      const folder = await freeFolder(join(known.folder, '..', '..'), known.name)
      await fs.move(known.folder, folder)
      return keep({ ...known, folder, trashed: false })
    }),
  }
}

/** Opens the project in a folder (in turn with others), closing the one that is open. It is known to this machine from then on. */
export async function openProject(context: StudioContext, folder: string, options = { startQueue: true }): Promise<KnownProject> {
  const file = await readProject(folder)
  if (!file)
    throw new StudioError(
      'not-found',
      `There is no project in "${folder}". Choose a folder that holds a project.json, or create a project.`,
    )
  const before = context.current()
  const known: KnownProject = {
    id: file.id,
    name: file.name,
    folder,
    createdAt: file.createdAt,
    openedAt: new Date().toISOString(),
    trashed: false,
  }
  if (before?.folder.root === folder) return known
  const opened = await OpenProject.open(folder, file, context, options)
  if (before) await before.close()
  context.setCurrent(opened)
  await context.registry.put(known)
  context.publish('project.opened', { ...known, reachable: true, open: true })
  context.publish('projects.changed', null)
  return known
}

export async function closeProject(context: StudioContext): Promise<void> {
  const current = context.current()
  if (!current) return
  context.setCurrent(null)
  await current.close()
  context.publish('project.closed', { id: current.file.id })
  context.publish('projects.changed', null)
}

/** A folder for a name: signs that a file system refuses become spaces, a number makes it free. */
async function freeFolder(parent: string, name: string): Promise<string> {
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/i
  const plain = name
    .replace(/[^\p{L}\p{N} _-]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  const base = plain === '' || reserved.test(plain) ? 'Project' : plain
  for (let i = 1; ; i++) {
    const folder = join(parent, i === 1 ? base : `${base} ${i}`)
    if (!(await exists(folder))) return folder
  }
}
