import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256, type SafeFs } from '../store/safe-fs.ts'
import { openPicture } from './picture.ts'

/** Widths that are kept; a request gets the next larger one, so that the cache stays small. */
const widths = [128, 256, 512, 1024]

/** A smaller copy of a picture as WebP, made once. A picture smaller than that is given as it is, so that its pixels stay sharp. */
export async function thumbnail(
  path: string,
  wanted: number,
  cacheFolder: string,
  fs: SafeFs,
): Promise<{ bytes: Uint8Array; type: string }> {
  const width = widths.find((w) => w >= wanted) ?? widths.at(-1)!
  const cached = join(cacheFolder, `${sha256(path).slice(0, 32)}-${width}.webp`)
  const there = await readFile(cached).catch(() => null)
  if (there) return { bytes: there, type: 'image/webp' }
  const original = await readFile(path)
  const { width: full } = await openPicture(original).metadata()
  if (full <= width) return { bytes: original, type: 'image/png' }
  const bytes = new Uint8Array(await openPicture(original).resize(width).webp({ quality: 85 }).toBuffer())
  await fs.folder(cacheFolder)
  await fs.writeFile(cached, bytes)
  return { bytes, type: 'image/webp' }
}
