/** How a picture is looked at: so many times as large as it fits, around a point given as shares of its width and height. */
export interface ZoomView {
  times: number
  x: number
  y: number
}

interface Extent {
  width: number
  height: number
}

/** Where a picture is drawn in its room, in the room's pixels; `scale` is screen pixels for one of the picture. */
export interface Drawn extends Extent {
  left: number
  top: number
  scale: number
}

export const whole: ZoomView = { times: 1, x: 0.5, y: 0.5 }

/** A pixel of the picture is never drawn larger than this, unless the picture is that small. */
const mostScale = 32

/** The scale at which all of a picture is in sight. */
export function fitScale(picture: Extent, room: Extent): number {
  return Math.min(room.width / picture.width, room.height / picture.height)
}

export function mostTimes(picture: Extent, room: Extent): number {
  return Math.max(8, mostScale / fitScale(picture, room))
}

/** A picture smaller than its room lies in the middle; a larger one leaves no edge of it empty. */
export function drawn(view: ZoomView, picture: Extent, room: Extent): Drawn {
  const scale = fitScale(picture, room) * view.times
  const [width, height] = [picture.width * scale, picture.height * scale]
  const along = (share: number, size: number, space: number) =>
    size <= space ? (space - size) / 2 : Math.min(0, Math.max(space - size, space / 2 - share * size))
  return { width, height, scale, left: along(view.x, width, room.width), top: along(view.y, height, room.height) }
}

/** Another magnification, by which what lies under a point of the room stays under it. */
export function zoomedAt(view: ZoomView, times: number, at: { x: number; y: number }, picture: Extent, room: Extent): ZoomView {
  const before = drawn(view, picture, room)
  const wanted = Math.min(mostTimes(picture, room), Math.max(1, times))
  if (wanted === 1) return whole
  const next = fitScale(picture, room) * wanted
  const along = (point: number, start: number, size: number, space: number, side: number) =>
    (point - start) / size - (point - space / 2) / (side * next)
  return settled(
    {
      times: wanted,
      x: along(at.x, before.left, before.width, room.width, picture.width),
      y: along(at.y, before.top, before.height, room.height, picture.height),
    },
    picture,
    room,
  )
}

/** The same magnification, with the picture moved by pixels of the room. */
export function moved(view: ZoomView, by: { x: number; y: number }, picture: Extent, room: Extent): ZoomView {
  const { width, height } = drawn(view, picture, room)
  const now = settled(view, picture, room)
  return settled({ times: view.times, x: now.x - by.x / width, y: now.y - by.y / height }, picture, room)
}

/** All of it, or each of its pixels as one of the screen; where it is that small already, each as four by four. */
export function toggled(view: ZoomView, picture: Extent, room: Extent, at = { x: room.width / 2, y: room.height / 2 }): ZoomView {
  if (view.times > 1) return whole
  const fit = fitScale(picture, room)
  return zoomedAt(view, fit < 0.9 ? 1 / fit : 4, at, picture, room)
}

/** The point that is really in the middle, so that a drag begins to move at once. */
function settled(view: ZoomView, picture: Extent, room: Extent): ZoomView {
  const { width, height, left, top } = drawn(view, picture, room)
  return { times: view.times, x: (room.width / 2 - left) / width, y: (room.height / 2 - top) / height }
}
