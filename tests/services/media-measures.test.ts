import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { alikeBits } from '#main/media/near-duplicates.ts'
import { measurePicture } from '#main/media/picture-measures.ts'
import { landscape, plain, scene, stamped } from '#tests/fixtures/pictures.ts'

const bitsBetween = (a: string | null, b: string | null) => (BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(2).replaceAll('0', '').length

describe('blur', () => {
  test('grows with every softening of the same picture', async () => {
    const sharpest = await scene(5)
    const blurs = await Promise.all(
      [0, 1, 3, 8].map(async (sigma) => (await measurePicture(sigma ? await sharp(sharpest).blur(sigma).png().toBuffer() : sharpest)).blur),
    )
    expect(blurs).toEqual([...blurs].sort((a, b) => a - b))
    expect(blurs[0]).toBeLessThan(0.3)
    expect(blurs[3]).toBeGreaterThan(0.5)
  })

  test('of one color is whole, of black and white dots nearly none', async () => {
    expect((await measurePicture(await plain(64, 64))).blur).toBe(1)
    const dots = Buffer.from(Array.from({ length: 64 * 64 }, (_, i) => ((i + Math.floor(i / 64)) % 2 ? 255 : 0)))
    const board = await sharp(dots, { raw: { width: 64, height: 64, channels: 1 } })
      .png()
      .toBuffer()
    // The Laplacian is +1020 or -1020 everywhere.
    expect((await measurePicture(board)).blur).toBeCloseTo(1 / (1 + 1020 ** 2 / 100), 6)
  })
})

describe('what looks like a watermark', () => {
  const watermarkOf = async (bytes: Uint8Array) => (await measurePicture(bytes)).watermark

  test('is words that were laid over a picture, and the more of them the higher the figure', async () => {
    const view = await landscape(640, 480)
    const figures = await Promise.all(['PHOTO', 'STOCK PHOTO'].map(async (words) => watermarkOf(await stamped(view, words))))
    // Four letters happen by chance. Of five one counts, of ten six; four that count make a half: 1 / (1 + 4) and 6 / (6 + 4).
    expect([await watermarkOf(view), ...figures]).toEqual([0, 0.2, 0.6])
    expect(await watermarkOf(await stamped(view, 'SAMPLE STOCK PHOTO'))).toBeGreaterThan(0.6)
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('is not a picture full of edges: scene %i', async (seed) => {
    expect(await watermarkOf(await scene(seed, 640, 480))).toBeLessThan(0.5)
  })

  test('is not in one color, in stripes, in a board or in noise', async () => {
    const gray = async (level: (x: number, y: number) => number) =>
      sharp(Buffer.from(Array.from({ length: 256 * 256 }, (_, i) => level(i % 256, i >> 8))), {
        raw: { width: 256, height: 256, channels: 1 },
      })
        .png()
        .toBuffer()
    const figures = await Promise.all([
      plain(64, 64).then(watermarkOf),
      gray((x) => (x % 12 < 4 ? 255 : 0)).then(watermarkOf),
      gray((x, y) => (((x >> 3) + (y >> 3)) % 2 ? 255 : 0)).then(watermarkOf),
      gray((x, y) => (x * 7919 + y * 104_729 + x * y * 31) % 256).then(watermarkOf),
    ])
    expect(figures).toEqual([0, 0, 0, 0])
  })
})

test('exposure tells how bright a picture is and which share of it is black or white', async () => {
  expect(await measurePicture(await plain(64, 64, '#000000'))).toMatchObject({ brightness: 0, clippedDark: 1, clippedBright: 0 })
  expect(await measurePicture(await plain(64, 64, '#ffffff'))).toMatchObject({ brightness: 1, clippedDark: 0, clippedBright: 1 })
  const half = await sharp(await plain(64, 64, '#808080'))
    .composite([{ input: await plain(32, 64, '#ffffff'), left: 0, top: 0 }])
    .png()
    .toBuffer()
  const { brightness, clippedDark, clippedBright } = await measurePicture(half)
  expect([brightness, clippedDark, clippedBright]).toEqual([expect.closeTo((128 / 255 + 1) / 2, 3), 0, 0.5])
})

test('the focus lies on the one thing in an empty picture, however it is turned', async () => {
  const red = await plain(60, 60, '#ff0000')
  const empty = await sharp(await plain(600, 400, '#c0c0c0'))
    .composite([{ input: red, left: 480, top: 40 }])
    .png()
    .toBuffer()
  const { focus } = await measurePicture(empty)
  expect(focus.x).toBeCloseTo(510 / 600, 1)
  expect(focus.y).toBeCloseTo(70 / 400, 1)
  const turned = await measurePicture(await sharp(empty).jpeg().withMetadata({ orientation: 6 }).toBuffer())
  expect(turned.focus.x).toBeCloseTo(1 - 70 / 400, 1)
  expect(turned.focus.y).toBeCloseTo(510 / 600, 1)
})

describe('looks', () => {
  const copies: [string, (picture: Buffer) => Promise<Buffer>][] = [
    ['saved as a poor JPEG', (picture) => sharp(picture).jpeg({ quality: 40 }).toBuffer()],
    ['at a third of its size', (picture) => sharp(picture).resize(107).png().toBuffer()],
    ['brightened', (picture) => sharp(picture).modulate({ brightness: 1.15 }).png().toBuffer()],
    ['in gray', (picture) => sharp(picture).grayscale().png().toBuffer()],
    ['softened', (picture) => sharp(picture).blur(2).png().toBuffer()],
  ]
  test.each(copies)('of a copy %s are alike', async (_how, copy) => {
    for (const seed of [2, 5, 9]) {
      const picture = await scene(seed)
      const [a, b] = [await measurePicture(picture), await measurePicture(await copy(picture))]
      expect(bitsBetween(a.looks, b.looks)).toBeLessThanOrEqual(alikeBits)
    }
  })

  test('of different pictures are not', async () => {
    const looks = await Promise.all([1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map(async (seed) => (await measurePicture(await scene(seed))).looks))
    for (const [i, one] of looks.entries())
      for (const other of looks.slice(0, i)) expect(bitsBetween(one, other)).toBeGreaterThan(alikeBits)
  })

  test('of one color are nothing to compare', async () => {
    for (const color of ['#000000', '#336699', '#ffffff']) expect((await measurePicture(await plain(40, 30, color))).looks).toBeNull()
  })
})
