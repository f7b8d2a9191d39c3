import { readFile, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import type { Sharp } from 'sharp'
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

/** Bytes of a picture and what they are. */
export interface Shown {
  bytes: Uint8Array
  type: string
}

const shownSide = 1024
const exactSide = 256
/** Browsers draw no larger pictures reliably. */
const wholeSide = 16_384
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
export async function showOriginal(bytes: Uint8Array): Promise<Shown> {
  const { picture, longSide } = await upright(bytes)
  const shown = picture.resize({ width: shownSide, height: shownSide, fit: 'inside', withoutEnlargement: true })
  const lossless = longSide <= exactSide
  return { bytes: new Uint8Array(await shown.webp(lossless ? { lossless } : { quality: 88 }).toBuffer()), type: 'image/webp' }
}

/** An original with all its pixels, exactly as they are decoded; only beyond what a page can show it is made smaller. */
export async function showWholeOriginal(bytes: Uint8Array): Promise<Shown> {
  const { picture } = await upright(bytes)
  const shown = picture.resize({ width: wholeSide, height: wholeSide, fit: 'inside', withoutEnlargement: true })
  return { bytes: new Uint8Array(await shown.png({ compressionLevel: 1, adaptiveFiltering: false }).toBuffer()), type: 'image/png' }
}

async function upright(bytes: Uint8Array): Promise<{ picture: Sharp; longSide: number }> {
  // What is in the data set was taken, with a limit set aside if need be.
  const picture = openPicture(bytes, acceptedPixelLimit).timeout({ seconds: secondsLimit })
  const { width, height } = await picture.metadata()
  return { picture: picture.rotate().toColourspace('srgb'), longSide: Math.max(width, height) }
}

/** The real path of a file in a folder; null when it lies elsewhere. */
async function insideOf(root: string, source: string): Promise<string | null> {
  const path = await realpath(join(root, source))
  const inside = relative(await realpath(root), path)
  return inside.startsWith('..') || isAbsolute(inside) ? null : path
}
