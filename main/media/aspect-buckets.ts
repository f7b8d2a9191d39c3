import type { Crop, Rectangle, Size } from '#contracts/curation.ts'

/**
 * Which of some sizes a picture goes to: that of the nearest aspect (by ratio); of several of one aspect the largest that needs no enlarging.
 * Returns an index, -1 when there are no sizes.
 */
export function bucketOf(width: number, height: number, sizes: readonly Size[]): number {
  const distance = (size: Size) => Math.abs(Math.log((size.width * height) / (size.height * width)))
  const fits = (size: Size) => Math.min(1, (width * height) / (size.width * size.height))
  let best = -1
  for (const [index, size] of sizes.entries()) {
    const before = sizes[best]
    if (!before) best = index
    else if (distance(size) < distance(before) - epsilon) best = index
    else if (distance(size) <= distance(before) + epsilon && better(fits(size), fits(before), size, before)) best = index
  }
  return best
}

const epsilon = 1e-9

function better(fit: number, fitBefore: number, size: Size, before: Size): boolean {
  return fit === 1 && fitBefore === 1 ? size.width > before.width : fit > fitBefore
}

export interface Framed extends Size {
  crop: Crop
  /** Where there is most to see, as shares; null while not measured. */
  focus: { x: number; y: number } | null
}

/** The largest part of an aspect that lies in a picture, or in the part chosen by hand: around its focus if the crop is smart, else in its middle. */
export function frameOf({ width, height, crop, focus }: Framed, aspect: Size): Rectangle {
  const inside = crop.kind === 'rectangle' ? crop : { x: 0, y: 0, width, height }
  const ratio = aspect.width / aspect.height
  const frame = {
    width: Math.max(1, Math.min(inside.width, Math.round(inside.height * ratio))),
    height: Math.max(1, Math.min(inside.height, Math.round(inside.width / ratio))),
  }
  const center = crop.kind === 'smart' && focus ? focus : { x: 0.5, y: 0.5 }
  const along = (from: number, room: number, length: number, share: number) =>
    from + Math.floor(Math.max(0, Math.min(room - length, room * share - length / 2)))
  return {
    x: along(inside.x, inside.width, frame.width, center.x),
    y: along(inside.y, inside.height, frame.height, center.y),
    ...frame,
  }
}
