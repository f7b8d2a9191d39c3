import type { Crop, Rectangle } from '#contracts/curation.ts'
import type { Area } from '#contracts/xray.ts'
import { frameOf, type Framed } from './aspect-buckets.ts'

/**
 * The square of a picture that a crop leads to, in whole pixels of the upright original; null where the decoder's own middle is meant, which may
 * begin within a pixel (see `trainingCrop`). In a rectangle that is not square it is the largest square in its middle; smart is around the focus,
 * or the middle while there is none.
 */
export function squareOf(framed: Framed): Rectangle | null {
  const { width, height, crop } = framed
  if (crop.kind === 'center') return null
  const area = frameOf(framed, { width: 1, height: 1 })
  return area.width === width && area.height === height ? null : area // all of it: the same pixels by either way
}

/** A crop as it is compared: its one form as text. */
export function cropText(crop: Crop): string {
  const { kind, ...sides } = crop
  return JSON.stringify('x' in sides ? { kind, x: sides.x, y: sides.y, width: sides.width, height: sides.height } : { kind })
}

/**
 * The part of a picture of `width` x `height` pixels that its square training picture shows, in pixels of the upright original. The decoder
 * scales the short side to `imageSize`, rounds the long one to whole pixels and keeps the middle of it; where one pixel is left over it goes
 * to the far side.
 */
export function trainingCrop({ width, height }: { width: number; height: number }, imageSize: number): Area {
  const scale = imageSize / Math.min(width, height)
  const along = (length: number) => {
    const scaled = Math.round(length * scale)
    const pixel = length / scaled
    return { from: Math.floor((scaled - imageSize + 1) / 2) * pixel, length: imageSize * pixel }
  }
  const [horizontal, vertical] = [along(width), along(height)]
  return { x: horizontal.from, y: vertical.from, width: horizontal.length, height: vertical.length }
}

/** What an item without a crop counts as. */
export const centered = cropText({ kind: 'center' })
