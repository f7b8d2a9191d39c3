import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, relative, resolve } from 'node:path'
import type { ImportSource } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { StudioServices } from '#contracts/studio.ts'
import { recognizeSource } from '../media/sources/open-source.ts'
import type { StudioContext } from './context.ts'

type DatasetServices = Pick<
  StudioServices,
  'dataset.describe' | 'dataset.recognize' | 'dataset.import' | 'dataset.items' | 'dataset.ledger' | 'dataset.editCaption'
>

export function datasetServices(context: StudioContext): DatasetServices {
  return {
    'dataset.describe': () => context.project().describeDataset(),
    'dataset.recognize': async (source) => recognizeSource(await checkSource(context, source)),
    'dataset.import': async ({ source, options }) => {
      const project = context.project()
      const checked = await checkSource(context, source)
      const title = checked.kind === 'sample' ? 'Noto Emoji' : await titleOf(checked.path, project.folder.staging)
      return project.queue.add(title, { kind: 'import', source: checked, options })
    },
    'dataset.items': async ({ offset, limit, text }) => {
      const { index, items } = context.project()
      return index.fresh(() => items.search(text, offset, limit))
    },
    'dataset.ledger': async ({ offset, limit, state }) => {
      const { index, figures } = context.project()
      return index.fresh(() => figures.ledger(state, offset, limit))
    },
    'dataset.editCaption': async ({ id, caption }) => {
      const { curation, items } = context.project()
      await curation.edit({ target: { kind: 'ids', ids: [id] }, change: { kind: 'set', marks: { caption } } })
      return items.get(id)!
    },
  }
}

/** What people know a folder by: its path, and for a copy of what was dropped the names of what is in it. */
async function titleOf(folder: string, staging: string): Promise<string> {
  const dropped = dirname(folder) === (await realpath(staging).catch(() => null))
  const [first, ...others] = dropped ? (await readdir(folder)).sort() : [folder]
  return `${first ?? folder}${others.length > 0 ? ` + ${others.length}` : ''}`
}

/** A source as it may be read: a real folder or file under one of the host's roots. */
export async function checkSource(context: StudioContext, source: ImportSource): Promise<ImportSource> {
  if (source.kind === 'sample') return source
  const real = await realpath(resolve(source.path)).catch((cause: unknown) => {
    throw new StudioError('bad-source', `"${source.path}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  if (!isAllowed(context.allowedRoots, real)) {
    throw new StudioError(
      'bad-source',
      `"${source.path}" lies outside the folders this studio may read (${[...context.allowedRoots].join(', ')}). Start it with --allow FOLDER to add one.`,
    )
  }
  return { ...source, kind: (await stat(real)).isDirectory() ? 'folder' : 'file', path: real }
}

/** Whether a path lies in one of the roots, by its parts and not by its letters. */
export function isAllowed(roots: Iterable<string>, path: string): boolean {
  return [...roots].some((root) => {
    const inside = relative(root, path)
    return inside === '' || (!inside.startsWith('..') && !isAbsolute(inside))
  })
}
