import type { Rectangle, Size } from '#contracts/curation.ts'

/** The smallest side that a part of a picture may have, in pixels. */
export const smallestSide = 8

/** Corners, by what of an area moves with them. */
export const corners = ['nw', 'ne', 'sw', 'se'] as const
export type Corner = (typeof corners)[number]

const clamp = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value))

/** An area moved by whole pixels, as far as the picture goes. */
export function moved(area: Rectangle, by: { x: number; y: number }, picture: Size): Rectangle {
  return {
    ...area,
    x: clamp(Math.round(area.x + by.x), 0, picture.width - area.width),
    y: clamp(Math.round(area.y + by.y), 0, picture.height - area.height),
  }
}

/** An area made wider and higher around its upper left corner, as far as the picture goes; a square one stays square. */
export function resized(area: Rectangle, by: { x: number; y: number }, picture: Size, square: boolean): Rectangle {
  return stretched(
    area,
    'se',
    { x: area.x + area.width + by.x, y: area.y + area.height + by.y },
    picture,
    square ? (by.x || by.y) + area.width : null,
  )
}

/** An area with one corner dragged to a point of the picture; the opposite corner stays. A square one follows the longer way. */
export function dragged(area: Rectangle, corner: Corner, to: { x: number; y: number }, picture: Size, square: boolean): Rectangle {
  const fixed = { x: corner.endsWith('w') ? area.x + area.width : area.x, y: corner.startsWith('n') ? area.y + area.height : area.y }
  const away = { x: corner.endsWith('w') ? fixed.x - to.x : to.x - fixed.x, y: corner.startsWith('n') ? fixed.y - to.y : to.y - fixed.y }
  return stretched(area, corner, to, picture, square ? Math.max(away.x, away.y) : null)
}

function stretched(area: Rectangle, corner: Corner, to: { x: number; y: number }, picture: Size, edge: number | null): Rectangle {
  const [west, north] = [corner.endsWith('w'), corner.startsWith('n')]
  const fixed = { x: west ? area.x + area.width : area.x, y: north ? area.y + area.height : area.y }
  const room = { x: west ? fixed.x : picture.width - fixed.x, y: north ? fixed.y : picture.height - fixed.y }
  const wanted =
    edge === null ? { x: west ? fixed.x - to.x : to.x - fixed.x, y: north ? fixed.y - to.y : to.y - fixed.y } : { x: edge, y: edge }
  const most = edge === null ? room : { x: Math.min(room.x, room.y), y: Math.min(room.x, room.y) }
  const width = Math.round(clamp(wanted.x, Math.min(smallestSide, most.x), most.x))
  const height = Math.round(clamp(wanted.y, Math.min(smallestSide, most.y), most.y))
  return { x: west ? fixed.x - width : fixed.x, y: north ? fixed.y - height : fixed.y, width, height }
}

/** The largest part of an aspect in the middle of an area, in whole pixels. */
export function largestIn({ x, y, width, height }: Rectangle, aspect: Size): Rectangle {
  const ratio = aspect.width / aspect.height
  const inside = { width: Math.min(width, Math.round(height * ratio)), height: Math.min(height, Math.round(width / ratio)) }
  return { x: x + Math.floor((width - inside.width) / 2), y: y + Math.floor((height - inside.height) / 2), ...inside }
}

/** Common aspects, widest first. */
export const aspects = [
  [16, 9],
  [3, 2],
  [4, 3],
  [1, 1],
  [3, 4],
  [2, 3],
  [9, 16],
] as const

/** A size of each of the common aspects with about as many pixels as a square of `edge` pixels has. */
export function guideSizes(edge: number): (Size & { name: string })[] {
  return aspects.map(([wide, high]) => {
    const unit = Math.max(Math.ceil(smallestSide / Math.min(wide, high)), Math.round(edge / Math.sqrt(wide * high)))
    return { name: `${wide}:${high}`, width: wide * unit, height: high * unit }
  })
}

/** A common shape on a picture: what it would keep, and how many items are nearest to it. */
export interface Shape {
  name: string
  items: number
  frame: Rectangle
}

/** The common shapes on a picture, with what was counted for each of `guideSizes`. */
export function shapesOf(edge: number, picture: Size, counts: readonly { items: number }[]): Shape[] {
  const whole = { x: 0, y: 0, ...picture }
  return guideSizes(edge).map((size, index) => ({ name: size.name, items: counts[index]?.items ?? 0, frame: largestIn(whole, size) }))
}

/** A fractional area as whole pixels inside a picture; a square one stays square. */
export function wholePixels(area: Rectangle, picture: Size): Rectangle {
  const square = Math.abs(area.width - area.height) < 1
  const width = Math.max(1, Math.min(picture.width, Math.round(area.width)))
  const height = square ? Math.min(width, picture.height) : Math.max(1, Math.min(picture.height, Math.round(area.height)))
  return moved({ x: Math.round(area.x), y: Math.round(area.y), width: square ? height : width, height }, { x: 0, y: 0 }, picture)
}
