import { readFile, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import type { ItemId } from '#contracts/project.ts'
import type { OriginalAway } from '#contracts/xray.ts'
import { isCode, sha256 } from '../store/safe-fs.ts'
import { openPicture } from './picture.ts'
import { listSampleSet } from './sample-set.ts'

/** Where a picture of the data set came from. */
export interface Origin {
  id: ItemId
  /** A folder's path, or "sample". */
  root: string
  /** Path inside the root, with forward slashes. */
  source: string
}

const shownSide = 1024
const exactSide = 256
const secondsLimit = 20
const sizeLimitBytes = 512 * 1024 * 1024

/**
 * The bytes that were imported, read again from where they lie, or why they cannot be had. An item's id is the hash of its file, and only a
 * file with that content is given out, so a ledger from elsewhere opens no other.
 */
export async function readOriginal(
  { id, root, source }: Origin,
  mayRead: (path: string) => boolean,
): Promise<{ bytes: Uint8Array } | { away: OriginalAway }> {
  try {
    const path = root === 'sample' ? await sampleFile(source) : await insideOf(root, source)
    if (path === null || (root !== 'sample' && !mayRead(path))) return { away: 'outside' }
    const info = await stat(path)
    if (!info.isFile() || info.size > sizeLimitBytes) return { away: 'changed' } // nothing of the kind was ever imported
    const bytes = await readFile(path)
    return sha256(bytes).startsWith(id) ? { bytes } : { away: 'changed' }
  } catch (error) {
    return { away: isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR') ? 'gone' : 'unreadable' }
  }
}

/** An original as it is shown: upright, and no larger than a screen needs; small ones keep every pixel as it is. */
export async function showOriginal(bytes: Uint8Array): Promise<Uint8Array> {
  const picture = openPicture(bytes).timeout({ seconds: secondsLimit })
  const { width, height } = await picture.metadata()
  const shown = picture.rotate().resize({ width: shownSide, height: shownSide, fit: 'inside', withoutEnlargement: true })
  const lossless = Math.max(width, height) <= exactSide
  return new Uint8Array(
    await shown
      .toColourspace('srgb')
      .webp(lossless ? { lossless } : { quality: 88 })
      .toBuffer(),
  )
}

async function sampleFile(source: string): Promise<string | null> {
  return (await listSampleSet()).find((item) => item.source === source)?.path ?? null
}

/** The real path of a file in a folder; null when it lies elsewhere. */
async function insideOf(root: string, source: string): Promise<string | null> {
  const path = await realpath(join(root, source))
  const inside = relative(await realpath(root), path)
  return inside.startsWith('..') || isAbsolute(inside) ? null : path
}
