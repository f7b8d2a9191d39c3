import sharp from 'sharp'
import type { Measures } from '#contracts/curation.ts'
import { lettering } from './lettering.ts'
import { perceptualHash } from './perceptual-hash.ts'
import { openPicture, secondsLimit } from './picture.ts'

/** Pictures are measured on a copy of at most this many pixels a side, so that large and small ones can be compared. */
const longSide = 512
const paper = '#ffffff'
const blackest = 2
const whitest = 253
/** Variance of the Laplacian at which `blur` is a half: below it photographs mostly look blurred (Pech-Pacheco and others 2000). */
const halfBlurred = 100

/**
 * Measures a picture from its file's bytes; see `measures` for what each figure means. `looks` is its perceptual hash.
 *
 * @throws Error when it cannot be decoded.
 */
export async function measurePicture(bytes: Uint8Array): Promise<Measures & { looks: string | null }> {
  const { data, width, height } = await smallCopy(bytes)
  const gray = luma(data, width * height)
  return {
    blur: 1 / (1 + laplacianVariance(gray, width, height) / halfBlurred),
    ...exposure(gray),
    watermark: lettering(gray, width, height),
    focus: await focusOf(data, width, height),
    looks: perceptualHash(gray, width, height),
  }
}

/** Where there is most to see in a picture that is not measured yet: the same as `measurePicture` would say. @throws as that does. */
export async function measureFocus(bytes: Uint8Array): Promise<Measures['focus']> {
  const { data, width, height } = await smallCopy(bytes)
  return focusOf(data, width, height)
}

async function smallCopy(bytes: Uint8Array): Promise<{ data: Uint8Array; width: number; height: number }> {
  const { data, info } = await openPicture(bytes)
    .timeout({ seconds: secondsLimit })
    .rotate()
    .flatten({ background: paper })
    .resize(longSide, longSide, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** Rec. 601, as JPEG does it. */
function luma(rgb: Uint8Array, pixels: number): Uint8Array {
  const gray = new Uint8Array(pixels)
  for (let i = 0; i < pixels; i++) gray[i] = Math.round(0.299 * rgb[3 * i]! + 0.587 * rgb[3 * i + 1]! + 0.114 * rgb[3 * i + 2]!)
  return gray
}

/** Variance over all pixels that have four neighbors; 0 for a picture that is too small to have any. */
function laplacianVariance(gray: Uint8Array, width: number, height: number): number {
  let [sum, squares] = [0, 0]
  const count = Math.max(0, width - 2) * Math.max(0, height - 2)
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x
      const edge = gray[i - 1]! + gray[i + 1]! + gray[i - width]! + gray[i + width]! - 4 * gray[i]!
      sum += edge
      squares += edge * edge
    }
  return count > 0 ? squares / count - (sum / count) ** 2 : 0
}

function exposure(gray: Uint8Array): Pick<Measures, 'brightness' | 'clippedDark' | 'clippedBright'> {
  let [sum, dark, bright] = [0, 0, 0]
  for (const level of gray) {
    sum += level
    if (level <= blackest) dark++
    if (level >= whitest) bright++
  }
  return { brightness: sum / gray.length / 255, clippedDark: dark / gray.length, clippedBright: bright / gray.length }
}

/** Where libvips would crop to: skin tones, saturated colors and edges. It says so only where it has to leave something out. */
async function focusOf(rgb: Uint8Array, width: number, height: number): Promise<Measures['focus']> {
  const narrow = width >= height ? { width: 32, height: 64 } : { width: 64, height: 32 }
  const { info } = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize(narrow.width, narrow.height, { fit: 'cover', position: sharp.strategy.attention })
    .raw()
    .toBuffer({ resolveWithObject: true })
  const scale = Math.max(narrow.width / width, narrow.height / height)
  const share = (at: number | undefined, length: number) => (at === undefined ? 0.5 : Math.min(1, Math.max(0, at / (length * scale))))
  return { x: share(info.attentionX, width), y: share(info.attentionY, height) }
}
