import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path'
import type { ImportOptions, ImportSource } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Job } from '#contracts/job.ts'
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
    'dataset.import': ({ source, options }) => startImport(context, source, options),
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

/** @param only some files of it, by their names in the ledger. */
export async function startImport(
  context: StudioContext,
  source: ImportSource,
  options: ImportOptions,
  only?: readonly string[],
): Promise<Job> {
  const { queue } = context.project()
  const checked = await checkSource(context, source)
  return queue.add(await titleOf(context, checked), { kind: 'import', source: checked, options, ...(only ? { only: [...only] } : {}) })
}

/** What people know a source by: its path, and for a copy of what was dropped the names of what is in it. */
export async function titleOf(context: StudioContext, source: ImportSource): Promise<string> {
  if (source.kind === 'sample') return 'Noto Emoji'
  const staging = await realpath(context.project().folder.staging).catch(() => null)
  if (staging === null || dirname(source.path) !== staging)
    return dirname(dirname(source.path)) === staging ? basename(source.path) : source.path
  const [first, ...others] = (await readdir(source.path)).sort()
  return `${first ?? source.path}${others.length > 0 ? ` + ${others.length}` : ''}`
}

/** A source as it may be read: a real folder or file under one of the host's roots. */
export async function checkSource(context: StudioContext, source: ImportSource): Promise<ImportSource> {
  if (source.kind === 'sample') return source
  const real = await realpath(resolve(source.path)).catch((cause: unknown) => {
    throw new StudioError('bad-source', `"${source.path}" cannot be read. Check that it is there and that you may open it.`, { cause })
  })
  const staging = context.current() && (await realpath(context.project().folder.staging).catch(() => null)) // what was dropped before a restart
  if (!isAllowed(staging ? [...context.allowedRoots, staging] : context.allowedRoots, real)) {
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
