import { readFile, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import type { OriginalAway } from '#contracts/xray.ts'
import { isCode, sha256 } from '../store/safe-fs.ts'
import { placeOf } from '../store/source-record.ts'
import { readOriginals, type Original } from './originals.ts'
import { acceptedPixelLimit, openPicture } from './picture.ts'
import { fileLimitBytes } from './sources/file-tree.ts'

/** Where a picture of the data set came from. */
export interface Origin extends Original {
  /** The path of a folder or an archive, or "sample". */
  root: string
}

const shownSide = 1024
const exactSide = 256
const secondsLimit = 20

/**
 * The bytes that were imported, from the project's copy or read again from where they lie, or why they cannot be had. Only a file with the
 * content that was imported is given out, so a ledger from elsewhere opens no other.
 */
export async function readOriginal(
  origin: Origin,
  mayRead: (path: string) => boolean,
  originalsFolder: string,
): Promise<{ bytes: Uint8Array } | { away: OriginalAway }> {
  const { root, copied } = origin
  try {
    if (root === 'sample' || copied) return await fromSource(origin, originalsFolder)
    const real = await realpath(await placeOf(originalsFolder, root))
    if (!mayRead(real)) return { away: 'outside' }
    if (!(await stat(real)).isDirectory()) return await fromSource(origin, originalsFolder)
    return await fromFolder({ ...origin, root: real }, mayRead)
  } catch (error) {
    // A name that goes on behind a file's is inside that file: a shard of the folder.
    if (isCode(error, 'ENOTDIR')) return fromSource(origin, originalsFolder)
    return { away: isCode(error, 'ENOENT') ? 'gone' : 'unreadable' }
  }
}

async function fromFolder({ root, source, fileHash }: Origin, mayRead: (path: string) => boolean): ReturnType<typeof readOriginal> {
  const path = await insideOf(root, source)
  if (path === null || !mayRead(path)) return { away: 'outside' }
  const info = await stat(path)
  if (!info.isFile() || info.size > fileLimitBytes) return { away: 'changed' } // nothing of the kind was ever imported
  const bytes = await readFile(path)
  return sha256(bytes) === fileHash ? { bytes } : { away: 'changed' }
}

async function fromSource(origin: Origin, originalsFolder: string): ReturnType<typeof readOriginal> {
  for await (const [, bytes] of readOriginals(origin.root, [origin], originalsFolder)) if (bytes) return { bytes }
  return { away: 'gone' }
}

/** An original as it is shown: upright, and no larger than a screen needs; small ones keep every pixel as it is. */
export async function showOriginal(bytes: Uint8Array): Promise<Uint8Array> {
  // What is in the data set was taken, with a limit set aside if need be.
  const picture = openPicture(bytes, acceptedPixelLimit).timeout({ seconds: secondsLimit })
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

/** The real path of a file in a folder; null when it lies elsewhere. */
async function insideOf(root: string, source: string): Promise<string | null> {
  const path = await realpath(join(root, source))
  const inside = relative(await realpath(root), path)
  return inside.startsWith('..') || isAbsolute(inside) ? null : path
}
