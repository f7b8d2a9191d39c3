import sharp, { type Sharp } from 'sharp'
import type { Rectangle } from '#contracts/curation.ts'
import type { LedgerReason } from '#contracts/dataset.ts'
import type { Allowance } from '../store/allowances.ts'

// Only these decoders may ever see a file from outside: no SVG, PDF or other loader that reads further files.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadHeif',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadTiff',
  ],
})
sharp.cache(false)

/** Decompression bombs are refused by their header. */
export const pixelLimit = 64_000_000
/** Of pictures that people accepted. Most kinds are read row by row, so that memory hardly grows with them; the limit of seconds holds. */
export const acceptedPixelLimit = 268_000_000
/** The short side of a picture, and of a part of one, in pixels. */
export const smallestSide = 8
/** No picture takes longer to decode. */
export const secondsLimit = 20

export const emptyFile = 'The file has 0 bytes. Copy it again from its source.'

/** A picture that cannot be used, and why, as one sentence. */
export class PictureError extends Error {
  readonly reason: LedgerReason

  constructor(reason: LedgerReason, sentence: string, cause?: unknown) {
    super(sentence, { cause })
    this.reason = reason
  }
}

export interface TrainingPicture {
  /** RGB, size x size x 3, row by row. */
  rgb: Uint8Array
  /** Of the source, upright. */
  width: number
  height: number
}

/** What the first bytes say a file is; null for anything that is not one of the six kinds read here. */
export function pictureFormat(head: Uint8Array): 'png' | 'jpeg' | 'webp' | 'gif' | 'tiff' | 'avif' | null {
  const text = (from: number, to: number) => String.fromCharCode(...head.subarray(from, to))
  if (text(0, 4) === '\x89PNG') return 'png'
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return 'jpeg'
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return 'webp'
  if (/^GIF8[79]a/.test(text(0, 6))) return 'gif'
  if (text(0, 4) === 'II*\0' || text(0, 4) === 'MM\0*') return 'tiff'
  if (text(4, 8) === 'ftyp' && /avi[fs]|mif1/.test(text(8, 32))) return 'avif'
  return null
}

export interface TrainingForm {
  /** Edge of the square in pixels. */
  imageSize: number
  /** Put behind transparent pictures, as #rrggbb. */
  background: string
  /** The part that is used, in pixels of the upright original and inside of it; the middle of all of it where it is not given. */
  area?: Rectangle | null
}

/**
 * A file's bytes as a square training picture: upright, on `background` where it is transparent, scaled so that the short side of what is used
 * fits, cropped at the center of that. Preview and trainer both get exactly this.
 *
 * @param accepted a limit that people set aside for this file.
 * @throws PictureError with the reason that goes into the ledger.
 */
export async function trainingPicture(
  bytes: Uint8Array,
  { imageSize, background, area }: TrainingForm,
  accepted: Allowance | null = null,
): Promise<TrainingPicture> {
  const mostPixels = accepted === 'large' ? acceptedPixelLimit : pixelLimit
  const leastSide = accepted === 'small' ? 1 : smallestSide
  if (bytes.length === 0) throw new PictureError('empty-file', emptyFile)
  if (!pictureFormat(bytes.subarray(0, 32))) {
    throw new PictureError('unsupported-format', 'The file is not a PNG, JPEG, WebP, GIF, TIFF or AVIF picture. Save it as one of these.')
  }
  try {
    const { width, height } = await sizeOf(bytes, mostPixels)
    if (width * height > mostPixels) {
      throw new PictureError(
        'too-many-pixels',
        `The picture has ${width} x ${height} pixels, more than the ${mostPixels / 1e6} million that are read. Save a smaller copy.`,
      )
    }
    if (Math.min(width, height) < leastSide) {
      throw new PictureError('too-small', `The picture has ${width} x ${height} pixels; the short side must have at least ${leastSide}.`)
    }
    const upright = openPicture(bytes, mostPixels).timeout({ seconds: secondsLimit }).rotate()
    const used = area ? upright.extract({ left: area.x, top: area.y, width: area.width, height: area.height }) : upright
    const rgb = await used
      .flatten({ background })
      .resize(imageSize, imageSize, { fit: 'cover', position: 'centre' })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer()
    return { rgb: new Uint8Array(rgb), width, height }
  } catch (error) {
    if (error instanceof PictureError) throw error
    const message = (error as Error).message
    if (/pixel limit/i.test(message))
      throw new PictureError(
        'too-many-pixels',
        `The picture has more than the ${mostPixels / 1e6} million pixels that are read. Save a smaller copy.`,
        error,
      )
    if (/timeout/i.test(message))
      throw new PictureError('timed-out', `The picture took longer than ${secondsLimit} seconds to decode. Save it again.`, error)
    // Decoders that run side by side share one place for their words, and one may find it empty.
    const words = /^Unknown error/i.test(message) ? '' : ` (${firstLine(message)})`
    throw new PictureError('corrupt', `The picture is damaged or incomplete${words}. Copy it again from its source.`, error)
  }
}

/** Width and height after the camera's rotation. */
async function sizeOf(bytes: Uint8Array, mostPixels: number): Promise<{ width: number; height: number }> {
  const { width, height, orientation = 1 } = await openPicture(bytes, mostPixels).metadata()
  return orientation >= 5 ? { width: height, height: width } : { width, height }
}

/** A decoder for bytes from outside: of few kinds, bounded, and strict with what is cut short. */
export function openPicture(bytes: Uint8Array, mostPixels = pixelLimit): Sharp {
  return sharp(bytes, { limitInputPixels: mostPixels, failOn: 'truncated', sequentialRead: true, pages: 1 })
}

function firstLine(message: string): string {
  return message.split('\n')[0]!.slice(0, 120)
}
