import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Rectangle, Size } from '#contracts/curation.ts'
import { squareOf, trainingCrop } from '#main/media/training-crop.ts'
import { corners, dragged, guideSizes, largestIn, moved, resized, wholePixels } from '#renderer/composables/crop-area.ts'

const picture: Size = { width: 400, height: 300 }
const area: Rectangle = { x: 100, y: 50, width: 120, height: 120 }
const runs = process.env.ZIGMA_LONG ? 20_000 : 1000

describe('an area on a picture', () => {
  test('moves as far as the picture goes and keeps its size', () => {
    expect(moved(area, { x: 5, y: -7 }, picture)).toEqual({ ...area, x: 105, y: 43 })
    expect(moved(area, { x: 1000, y: 1000 }, picture)).toEqual({ ...area, x: 280, y: 180 })
    expect(moved(area, { x: -1000, y: -1000 }, picture)).toEqual({ ...area, x: 0, y: 0 })
  })

  test('grows around its upper left corner; a square one in both directions, as far as there is room for both', () => {
    expect(resized(area, { x: 10, y: 0 }, picture, false)).toEqual({ ...area, width: 130 })
    expect(resized(area, { x: 0, y: -10 }, picture, true)).toEqual({ ...area, width: 110, height: 110 })
    expect(resized(area, { x: 999, y: 0 }, picture, true)).toEqual({ ...area, width: 250, height: 250 })
    expect(resized(area, { x: -999, y: 0 }, picture, true)).toEqual({ ...area, width: 8, height: 8 })
  })

  test('follows a corner that is dragged while the opposite one stays', () => {
    expect(dragged(area, 'nw', { x: 90, y: 60 }, picture, false)).toEqual({ x: 90, y: 60, width: 130, height: 110 })
    expect(dragged(area, 'nw', { x: 90, y: 60 }, picture, true)).toEqual({ x: 90, y: 40, width: 130, height: 130 })
    expect(dragged(area, 'ne', { x: 500, y: 170 }, picture, true)).toEqual({ x: 100, y: 0, width: 170, height: 170 })
  })

  test('lies inside the picture whatever is done to it, with at least 8 pixels a side', () => {
    const sides = fc.integer({ min: 8, max: 900 })
    const far = fc.record({ x: fc.integer({ min: -2000, max: 2000 }), y: fc.integer({ min: -2000, max: 2000 }) })
    fc.assert(
      fc.property(sides, sides, far, far, fc.constantFrom(...corners), fc.boolean(), (width, height, one, other, corner, square) => {
        const whole = { width, height }
        const start = largestIn({ x: 0, y: 0, ...whole }, square ? { width: 1, height: 1 } : { width: 3, height: 2 })
        const first = moved(start, one, whole)
        for (const end of [resized(first, one, whole, square), dragged(first, corner, other, whole, square)]) {
          expect(Math.min(end.x, end.y)).toBeGreaterThanOrEqual(0)
          expect(end.x + end.width).toBeLessThanOrEqual(width)
          expect(end.y + end.height).toBeLessThanOrEqual(height)
          if (square) expect(end.width).toBe(end.height)
          if (first.x + 8 < width && first.y + 8 < height) expect(Math.min(end.width, end.height)).toBeGreaterThanOrEqual(6)
        }
      }),
      { numRuns: runs },
    )
  })

  test('that the middle has in parts of pixels is drawn in whole ones, square and inside', () => {
    expect(wholePixels(trainingCrop({ width: 250, height: 100 }, 32), { width: 250, height: 100 })).toEqual({
      ...{ x: 75, y: 0, width: 100, height: 100 },
    })
    expect(wholePixels({ x: 299.6, y: 0.4, width: 100.5, height: 100.4 }, { width: 400, height: 101 })).toMatchObject({ x: 299, y: 0 })
  })
})

describe('the square that training gets', () => {
  test('of a rectangle that is not square is the largest one in its middle', () => {
    const part = { x: 10, y: 20, width: 100, height: 40 }
    expect(squareOf({ ...picture, crop: { kind: 'rectangle', ...part }, focus: null })).toEqual({ x: 40, y: 20, width: 40, height: 40 })
    expect(largestIn(part, { width: 1, height: 1 })).toEqual({ x: 40, y: 20, width: 40, height: 40 }) // what the window draws
  })

  test('of a smart crop lies around the focus as far as the picture goes', () => {
    const smart = (x: number) => squareOf({ ...picture, crop: { kind: 'smart' }, focus: { x, y: 0.5 } })
    expect(smart(0.5)).toEqual({ x: 50, y: 0, width: 300, height: 300 })
    expect(smart(0.9)).toEqual({ x: 100, y: 0, width: 300, height: 300 })
    expect(smart(0)).toEqual({ x: 0, y: 0, width: 300, height: 300 })
  })

  test('of a picture that is square is all of it, which is the same as no crop', () => {
    expect(squareOf({ width: 64, height: 64, crop: { kind: 'smart' }, focus: { x: 0.9, y: 0.9 } })).toBeNull()
    expect(squareOf({ ...picture, crop: { kind: 'center' }, focus: null })).toBeNull()
  })

  test('is the same by hand in the window and in the studio, wherever it is drawn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 400 }), fc.integer({ min: 8, max: 300 }), (width, height) => {
        const part = { x: 400 - width, y: 300 - height, width, height }
        const made = squareOf({ ...picture, crop: { kind: 'rectangle', ...part }, focus: null })
        expect(made).toEqual(largestIn(part, { width: 1, height: 1 }))
      }),
      { numRuns: runs },
    )
  })
})

test('guides have the pixels of the training picture, about, and the aspects that they are called by', () => {
  for (const edge of [16, 32, 256, 1024])
    for (const { name, width, height } of guideSizes(edge)) {
      const [wide = 0, high = 0] = name.split(':').map(Number)
      expect(width * high).toBe(height * wide)
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(8)
      if (edge > 64) expect(Math.sqrt(width * height) / edge).toBeCloseTo(1, 1)
    }
})
