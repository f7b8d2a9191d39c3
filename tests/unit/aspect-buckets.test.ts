import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketOf, frameOf } from '#main/media/aspect-buckets.ts'

const size = fc.record({ width: fc.integer({ min: 8, max: 4000 }), height: fc.integer({ min: 8, max: 4000 }) })

test.each([
  [
    { width: 1000, height: 1000 },
    [
      { width: 512, height: 512 },
      { width: 768, height: 512 },
    ],
    0,
  ],
  [
    { width: 1400, height: 1000 },
    [
      { width: 512, height: 512 },
      { width: 768, height: 512 },
    ],
    1,
  ],
  [
    { width: 600, height: 600 },
    [
      { width: 1024, height: 1024 },
      { width: 256, height: 256 },
      { width: 512, height: 512 },
    ],
    2,
  ],
  [
    { width: 100, height: 100 },
    [
      { width: 1024, height: 1024 },
      { width: 256, height: 256 },
    ],
    1,
  ],
  [{ width: 100, height: 100 }, [], -1],
])('%j goes among %j to number %i', (picture, sizes, bucket) => expect(bucketOf(picture.width, picture.height, sizes)).toBe(bucket))

test('no other size has a nearer aspect', () => {
  fc.assert(
    fc.property(size, fc.array(size, { minLength: 1, maxLength: 8 }), ({ width, height }, sizes) => {
      const far = (one: { width: number; height: number }) => Math.abs(Math.log(one.width / one.height) - Math.log(width / height))
      const chosen = sizes[bucketOf(width, height, sizes)]!
      for (const one of sizes) expect(far(chosen)).toBeLessThanOrEqual(far(one) + 1e-6)
    }),
  )
})

test('a frame lies inside its picture, as large as its aspect allows', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(size, size, share, share, fc.constantFrom('center', 'smart', 'rectangle'), (picture, aspect, x, y, kind) => {
      const part = {
        kind: 'rectangle' as const,
        x: Math.floor(x * (picture.width - 1)),
        y: Math.floor(y * (picture.height - 1)),
        width: Math.max(1, Math.floor((1 - x) * picture.width)),
        height: Math.max(1, Math.floor((1 - y) * picture.height)),
      }
      const inside = kind === 'rectangle' ? part : { x: 0, y: 0, ...picture }
      const frame = frameOf({ ...picture, crop: kind === 'rectangle' ? part : { kind }, focus: { x, y } }, aspect)
      expect(frame.x).toBeGreaterThanOrEqual(inside.x)
      expect(frame.y).toBeGreaterThanOrEqual(inside.y)
      expect(frame.x + frame.width).toBeLessThanOrEqual(inside.x + inside.width)
      expect(frame.y + frame.height).toBeLessThanOrEqual(inside.y + inside.height)
      expect(frame.width === inside.width || frame.height === inside.height).toBe(true)
      for (const edge of Object.values(frame)) expect(Number.isInteger(edge)).toBe(true)
    }),
  )
})

test('a smart frame holds the focus, a centered one the middle', () => {
  const picture = { width: 1000, height: 400, focus: { x: 0.9, y: 0.5 } }
  expect(frameOf({ ...picture, crop: { kind: 'smart' } }, { width: 1, height: 1 })).toEqual({ x: 600, y: 0, width: 400, height: 400 })
  expect(frameOf({ ...picture, crop: { kind: 'center' } }, { width: 1, height: 1 })).toEqual({ x: 300, y: 0, width: 400, height: 400 })
  expect(frameOf({ ...picture, focus: null, crop: { kind: 'smart' } }, { width: 1, height: 1 })).toMatchObject({ x: 300 })
})
