import fc from 'fast-check'
import { expect, test } from 'vitest'
import { drawn, fitScale, mostTimes, moved, toggled, whole, zoomedAt, type ZoomView } from '#renderer/composables/zoom.ts'

const room = { width: 800, height: 600 }
const photo = { width: 4000, height: 2000 }
const extent = fc.record({ width: fc.integer({ min: 8, max: 9000 }), height: fc.integer({ min: 8, max: 9000 }) })
const view = fc.record({ times: fc.double({ min: 1, max: 8, noNaN: true }), x: fc.double({ min: 0, max: 1, noNaN: true }), y: fc.double({ min: 0, max: 1, noNaN: true }) }) // prettier-ignore
const point = fc.record({ x: fc.integer({ min: 0, max: 800 }), y: fc.integer({ min: 0, max: 600 }) })

test('a picture as it fits lies in the middle of its room and is all in sight', () => {
  expect(drawn(whole, photo, room)).toEqual({ width: 800, height: 400, scale: 0.2, left: 0, top: 100 })
  expect(drawn(whole, { width: 8, height: 16 }, room)).toMatchObject({ height: 600, left: 250, top: 0 })
})

test('one press shows each pixel of the picture as one of the screen, under the pointer, and the next one all of it', () => {
  const near = toggled(whole, photo, room, { x: 400, y: 300 })
  expect(drawn(near, photo, room)).toMatchObject({ scale: 1, left: -1600, top: -700 })
  expect(toggled(near, photo, room)).toEqual(whole)
  expect(drawn(toggled(whole, { width: 64, height: 64 }, room), { width: 64, height: 64 }, room).scale).toBeCloseTo((4 * 600) / 64)
})

test('what lies under the pointer stays there while it is zoomed, unless an edge would be left empty', () => {
  fc.assert(
    fc.property(extent, view, fc.double({ min: 1, max: 64, noNaN: true }), point, (picture, from, times, at) => {
      const before = drawn(from, picture, room)
      const after = drawn(zoomedAt(from, times, at, picture, room), picture, room)
      for (const [start, size, side, p] of [
        ['left', 'width', 'width', at.x],
        ['top', 'height', 'height', at.y],
      ] as const) {
        // prettier-ignore
        const isFree = after[size] > room[side] && after[start] < -1e-6 && after[start] + after[size] > room[side] + 1e-6
        if (isFree) expect((p - after[start]) / after[size]).toBeCloseTo((p - before[start]) / before[size], 5)
      }
    }),
  )
})

test('no zoom and no drag leaves an edge empty, or goes beyond what can be told apart', () => {
  fc.assert(
    fc.property(extent, view, fc.double({ min: 0.1, max: 1e4, noNaN: true }), point, (picture, from: ZoomView, times, at) => {
      const zoomed = zoomedAt(from, times, at, picture, room)
      expect(zoomed.times).toBeLessThanOrEqual(mostTimes(picture, room))
      const { left, top, width, height } = drawn(moved(zoomed, { x: at.x - 400, y: at.y - 300 }, picture, room), picture, room)
      for (const [start, size, space] of [
        [left, width, 800],
        [top, height, 600],
      ] as const) {
        // prettier-ignore
        if (size <= space) expect(start).toBeCloseTo((space - size) / 2, 6)
        else expect([start <= 1e-6, start + size >= space - 1e-6]).toEqual([true, true])
      }
    }),
  )
})

test('a drag moves the picture by as many pixels as the pointer, at once, also where it had come to an edge', () => {
  const corner: ZoomView = { times: 1 / fitScale(photo, room), x: 0, y: 0 }
  expect(drawn(corner, photo, room)).toMatchObject({ left: 0, top: 0 })
  const dragged = moved(corner, { x: -30, y: -20 }, photo, room)
  expect(drawn(dragged, photo, room).left).toBeCloseTo(-30)
  expect(drawn(dragged, photo, room).top).toBeCloseTo(-20)
})
