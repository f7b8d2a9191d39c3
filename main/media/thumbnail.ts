import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { sha256, type SafeFs } from '../store/safe-fs.ts'
import { openPicture } from './picture.ts'
import { encodePng } from './write-image.ts'

/** Widths that are kept; a request gets the next larger one, so that the cache stays small. */
const widths = [128, 256, 512, 1024]
const quality = 85

export interface Thumbnail {
  bytes: Uint8Array
  type: string
}

/** A smaller copy of a picture as WebP, made once. A picture smaller than that is given as it is, so that its pixels stay sharp. */
export async function thumbnail(path: string, wanted: number, cacheFolder: string, fs: SafeFs): Promise<Thumbnail> {
  const width = keptWidth(wanted)
  const cached = join(cacheFolder, `${sha256(path).slice(0, 32)}-${width}.webp`)
  const there = await readFile(cached).catch(() => null)
  if (there) return { bytes: there, type: 'image/webp' }
  const original = await readFile(path)
  const { width: full } = await openPicture(original).metadata()
  if (full <= width) return { bytes: original, type: 'image/png' }
  const bytes = new Uint8Array(await openPicture(original).resize(width).webp({ quality }).toBuffer())
  return { bytes: await keep(bytes, cached, cacheFolder, fs), type: 'image/webp' }
}

/** The square pixels of a training picture; of one wider than `wanted` a smaller copy, made once for the same pixels. Without `wanted` every pixel. */
export async function itemPicture(
  { hash, edge, read }: { hash: string; edge: number; read: () => Uint8Array },
  wanted: number | null,
  cacheFolder: string,
  fs: SafeFs,
): Promise<Thumbnail> {
  const width = keptWidth(wanted ?? edge)
  if (wanted === null || edge <= width) return { bytes: await encodePng(read(), edge, edge), type: 'image/png' }
  const cached = join(cacheFolder, `${hash.slice(0, 32)}-${width}.webp`)
  const there = await readFile(cached).catch(() => null)
  if (there) return { bytes: there, type: 'image/webp' }
  const raw = { width: edge, height: edge, channels: 3 as const }
  const bytes = new Uint8Array(await sharp(read(), { raw }).resize(width).webp({ quality }).toBuffer())
  return { bytes: await keep(bytes, cached, cacheFolder, fs), type: 'image/webp' }
}

function keptWidth(wanted: number): number {
  return widths.find((width) => width >= wanted) ?? widths.at(-1)!
}

async function keep(bytes: Uint8Array, cached: string, cacheFolder: string, fs: SafeFs): Promise<Uint8Array> {
  await fs.folder(cacheFolder)
  await fs.writeFile(cached, bytes)
  return bytes
}
