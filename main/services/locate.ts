import type { Relocated, Relocation } from '#contracts/ledger.ts'
import { StudioError } from '#contracts/errors.ts'
import { openRoot } from '../media/originals.ts'
import { PictureError } from '../media/picture.ts'
import { quoted } from '../media/sources/file-tree.ts'
import { sha256 } from '../store/safe-fs.ts'
import type { StudioContext } from './context.ts'
import { checkSource } from './dataset.ts'

/** So many files of a source are looked for at its new place. */
const looked = 24
/** So many of ten must be there with the same content. */
const enoughOfTen = 9

/**
 * A source that is elsewhere now: some of its files, evenly apart, must be there under the same names and with the same content. Its own path, there
 * or not, takes back that it was elsewhere.
 *
 * @throws StudioError bad-source when they are not; then nothing has changed.
 */
export async function locate(context: StudioContext, { root, path }: Relocation): Promise<Relocated> {
  const project = context.project()
  const known = await project.index.fresh(() => project.ledger.sample(root, looked))
  if (root === 'sample' || known.length === 0)
    throw new StudioError(
      'not-found',
      `No file of ${quoted(root)} was ever read, so there is nothing to know it by. Import the new place instead.`,
    )
  if (path === root) return settle(context, root, root, { checked: 0, same: 0 })
  const checked = await checkSource(context, { kind: 'folder', path })
  const place = checked.kind === 'sample' ? path : checked.path
  const missing = await missingAt(place, known)
  const same = known.length - missing.length
  if (same * 10 < known.length * enoughOfTen) {
    throw new StudioError(
      'bad-source',
      `"${place}" does not hold the same files: of ${known.length} that were looked for ${same} are there as they were, and ${quoted(missing[0]!)} is not among them. Choose the folder or file that was moved, or import this one on its own.`,
    )
  }
  return settle(context, root, place, { checked: known.length, same })
}

async function settle(context: StudioContext, root: string, place: string, found: Omit<Relocated, 'root'>): Promise<Relocated> {
  const project = context.project()
  await project.sources.move(root, place)
  const summary = await project.describeDataset()
  project.publish('dataset.changed', summary)
  return { root: summary.roots.find((one) => one.root === root)!, ...found }
}

async function missingAt(place: string, known: readonly { source: string; fileHash: string }[]): Promise<string[]> {
  const there = await openRoot(place).catch((error: unknown) => {
    if (error instanceof PictureError) throw new StudioError('bad-source', `"${place}": ${error.message}`, { cause: error })
    throw error
  })
  try {
    const missing: string[] = []
    for (const { source, fileHash } of known) {
      const bytes = await there.read(source).catch((error: unknown) => {
        if (error instanceof PictureError) return null
        throw error
      })
      if (!bytes || sha256(bytes) !== fileHash) missing.push(source)
    }
    return missing
  } finally {
    await there.close()
  }
}
