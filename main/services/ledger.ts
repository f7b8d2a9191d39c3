import type { LedgerFix, LedgerTarget } from '#contracts/ledger.ts'
import type { ItemId } from '#contracts/project.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ImportSource, ImportOptions } from '#contracts/dataset.ts'
import type { Job } from '#contracts/job.ts'
import type { StudioServices } from '#contracts/studio.ts'
import { captionIn, captionsIn } from '../media/caption-encoding.ts'
import { openRoot, type OpenRoot } from '../media/originals.ts'
import { folderWords, nameWords } from '../media/sources/caption.ts'
import type { LedgerPageRow } from '../store/ledger-pages.ts'
import { exists } from '../store/safe-fs.ts'
import { placeOf } from '../store/source-record.ts'
import type { StudioContext } from './context.ts'
import { checkSource, startImport } from './dataset.ts'
import { fixesFor, toLedgerRow } from './ledger-fixes.ts'
import { locate } from './locate.ts'

type LedgerServices = Pick<
  StudioServices,
  'ledger.list' | 'ledger.count' | 'ledger.encodings' | 'ledger.fixCaptions' | 'ledger.fixFiles' | 'ledger.locate' | 'ledger.readAgain'
>

/** A job names no more files than this; the rest is done when the fix is asked for again. */
const filesAtOnce = 10_000

/** What became of every file, and what can be done about it. */
export function ledgerServices(context: StudioContext): LedgerServices {
  return {
    'ledger.list': async ({ filter, offset, limit }) => {
      const { index, ledger } = context.project()
      const { total, rows } = await index.fresh(() => ledger.list(filter, offset, limit))
      const online = await onlineRoots(context, rows)
      return { total, entries: rows.map((row) => toLedgerRow(row, online.has(row.root))) }
    },
    'ledger.count': async ({ text }) => {
      const { index, ledger } = context.project()
      return index.fresh(() => ledger.count(text))
    },
    'ledger.encodings': async ({ root, source }) => withRoot(context, root, (there) => captionsIn(there, source)),
    'ledger.fixCaptions': async ({ target, fix, encoding }) => {
      if (fix === 'reencode' && !encoding)
        throw new StudioError('invalid-request', 'No encoding is chosen for the captions. Choose the one in which they read well.')
      const rows = await fixable(context, target, fix)
      const captions = new Map<ItemId, string>()
      for (const [root, inside] of byRoot(rows)) {
        const say = async (captionOf: (row: LedgerPageRow) => Promise<string | null> | string | null) => {
          for (const row of inside) {
            const caption = await captionOf(row)
            if (caption && row.itemId) captions.set(row.itemId, caption)
          }
        }
        if (fix === 'reencode') await withRoot(context, root, (there) => say((row) => captionIn(there, row.source, encoding!)))
        else await say((row) => (fix === 'name-caption' ? nameWords(row.source) : folderWords(row.source)))
      }
      await context.project().curation.sayCaptions(captions)
      return { changed: captions.size, left: rows.length - captions.size }
    },
    'ledger.fixFiles': async ({ target, fix }) => {
      const { allowances } = context.project()
      const [first] = byRoot(await fixable(context, target, fix))
      if (!first)
        throw new StudioError('invalid-request', 'There is no file left for which this can be done. Look at the ledger as it is now.')
      const [root, rows] = first
      const names = rows.slice(0, filesAtOnce).map(({ source }) => source)
      if (fix !== 'read-again') await allowances.set(root, names, fix === 'take-back' ? null : fix === 'accept-small' ? 'small' : 'large')
      return readAgain(context, root, names)
    },
    'ledger.locate': (relocation) => locate(context, relocation),
    'ledger.readAgain': ({ root }) => readAgain(context, root),
  }
}

/** Lines of a target for which a fix can be done. */
async function fixable(context: StudioContext, target: LedgerTarget, fix: LedgerFix): Promise<LedgerPageRow[]> {
  const { index, ledger } = context.project()
  const rows = await index.fresh(() => {
    if (target.kind === 'filter') return [...ledger.all(target.filter)]
    const one = ledger.get(target)
    if (!one) throw new StudioError('not-found', `There is no file "${target.source}" in the ledger. It may have been read again since.`)
    return [one]
  })
  const online = await onlineRoots(context, rows)
  return rows.filter((row) => fixesFor(row, online.has(row.root)).includes(fix))
}

/** An import of a source as it was last read, of all of it or of some files. */
async function readAgain(context: StudioContext, root: string, only?: readonly string[]): Promise<Job> {
  const { sources, dataset, folder } = context.project()
  const before = await sources.reading(root)
  const options: ImportOptions = { background: '#ffffff', imageSize: 32, ...before?.options }
  const imageSize = (await dataset.imageSize()) ?? options.imageSize
  const wishes = { ...(before?.layout ? { layout: before.layout } : {}), originals: before?.originals ?? 'reference' }
  const source: ImportSource =
    root === 'sample' ? { kind: 'sample' } : { kind: 'folder', path: await placeOf(folder.originals, root), ...wishes }
  return startImport(context, source, { ...options, imageSize }, only)
}

async function withRoot<T>(context: StudioContext, root: string, work: (there: OpenRoot) => Promise<T>): Promise<T> {
  const place = await placeOf(context.project().folder.originals, root)
  if (root !== 'sample') await checkSource(context, { kind: 'folder', path: place })
  const there = await openRoot(place)
  try {
    return await work(there)
  } finally {
    await there.close()
  }
}

async function onlineRoots(context: StudioContext, rows: readonly LedgerPageRow[]): Promise<Set<string>> {
  const { originals } = context.project().folder
  const online = new Set<string>()
  for (const root of new Set(rows.map((row) => row.root)))
    if (root === 'sample' || (await exists(await placeOf(originals, root)))) online.add(root)
  return online
}

function byRoot(rows: readonly LedgerPageRow[]): Map<string, LedgerPageRow[]> {
  return Map.groupBy(rows, ({ root }) => root)
}
