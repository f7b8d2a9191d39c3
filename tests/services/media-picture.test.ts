import fc from 'fast-check'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { RunId } from '#contracts/project.ts'
import { contactSheet } from '#main/media/contact-sheet.ts'
import { PictureError, pictureFormat, trainingPicture } from '#main/media/picture.ts'
import { addPngText, readPngText } from '#main/media/png-text.ts'
import { encodePicture, encodePng, readPictureRecord, type PictureRecord } from '#main/media/write-image.ts'
import { bomb, noisy, plain, redBlue, svg } from '#tests/fixtures/pictures.ts'

const options = { imageSize: 16, background: '#ffffff' }
const pixel = (rgb: Uint8Array, x: number, y: number, size = 16) => [...rgb.subarray((y * size + x) * 3, (y * size + x) * 3 + 3)]
const refusal = (bytes: Uint8Array) =>
  trainingPicture(bytes, options).then(
    () => null,
    (error: unknown) => error as PictureError,
  )

describe('a training picture', () => {
  test.each(['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const)('is read from %s', async (format) => {
    const bytes = await sharp(await plain(40, 40)).toFormat(format).toBuffer() // prettier-ignore
    expect(pictureFormat(bytes.subarray(0, 32))).toBe(format)
    const { rgb, width, height } = await trainingPicture(bytes, options)
    expect([rgb.length, width, height]).toEqual([16 * 16 * 3, 40, 40])
    pixel(rgb, 8, 8).forEach((value, i) => expect(Math.abs(value - [0x33, 0x66, 0x99][i]!)).toBeLessThanOrEqual(4))
  })

  test.each([
    ['gray', () => sharp(Buffer.alloc(400, 128), { raw: { width: 20, height: 20, channels: 1 } }).png()],
    ['gray with transparency', () => sharp(Buffer.alloc(800, 128), { raw: { width: 20, height: 20, channels: 2 } }).png()],
    [
      'with 16 bits a channel',
      async () =>
        sharp(await plain(20, 20))
          .toColourspace('rgb16')
          .png(),
    ],
    [
      'in CMYK',
      async () =>
        sharp(await plain(20, 20))
          .toColourspace('cmyk')
          .jpeg(),
    ],
    ['with a palette', async () => sharp(await plain(20, 20)).png({ palette: true })],
  ])('is three bytes a pixel, from a picture %s', async (_kind, make) => {
    const bytes = await (await make()).toBuffer()
    expect((await trainingPicture(bytes, options)).rgb).toHaveLength(16 * 16 * 3)
  })

  test('of a wide picture is its middle, as high as the picture', async () => {
    const { rgb } = await trainingPicture(await redBlue(64, 16), options)
    expect(pixel(rgb, 0, 8)).toEqual([255, 0, 0])
    expect(pixel(rgb, 15, 8)).toEqual([0, 0, 255])
  })

  test("stands upright, whatever the camera's rotation", async () => {
    const turned = await sharp(await redBlue(32, 32)).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer() // prettier-ignore
    const { rgb } = await trainingPicture(turned, options)
    const [top, bottom] = [pixel(rgb, 8, 1), pixel(rgb, 8, 14)]
    expect(top[0]).toBeGreaterThan(200) // a quarter turn to the right brings the left half to the top
    expect(bottom[2]).toBeGreaterThan(200)
  })

  test('has the background where the picture is transparent', async () => {
    const clear = await sharp({ create: { width: 20, height: 20, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } } }).png().toBuffer() // prettier-ignore
    expect(pixel((await trainingPicture(clear, { imageSize: 16, background: '#102030' })).rgb, 8, 8)).toEqual([0x10, 0x20, 0x30])
  })

  test('is the same bytes each time', async () => {
    const bytes = await noisy(50, 'jpeg')
    expect((await trainingPicture(bytes, options)).rgb).toEqual((await trainingPicture(bytes, options)).rgb)
  })
})

describe('what is not a good picture', () => {
  test.each([
    ['0 bytes', 'empty-file', () => Buffer.alloc(0)],
    ['an SVG', 'unsupported-format', () => svg],
    ['text', 'unsupported-format', () => Buffer.from('hello')],
    ['a PDF', 'unsupported-format', () => Buffer.from('%PDF-1.7\n')],
    ['a PNG signature and nothing behind it', 'corrupt', () => Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')],
    ['an SVG behind a GIF signature', 'corrupt', () => Buffer.concat([Buffer.from('GIF89a'), svg])],
    ['a PNG cut in the middle', 'corrupt', async () => (await noisy(100, 'png')).subarray(0, 5000)],
    ['a JPEG cut in the middle', 'corrupt', async () => (await noisy(100, 'jpeg')).subarray(0, 3000)],
    ['30000 x 30000 pixels', 'too-many-pixels', () => bomb(30_000)],
    ['a side of 7 pixels', 'too-small', () => plain(7, 100)],
  ])('is refused with its reason: %s', async (_kind, reason, make) => {
    const error = await refusal(await make())
    expect(error).toBeInstanceOf(PictureError)
    expect(error?.reason).toBe(reason)
    expect(error?.message).toMatch(/^[A-Z][^\n]{10,240}\.$/)
  })

  test('says what is wrong, or only that something is, when many are read at once', async () => {
    const png = await noisy(200, 'png')
    const torn = Array.from({ length: 60 }, (_, i) => png.subarray(0, 1000 + 500 * i))
    const sentences = (await Promise.all(torn.map(refusal))).map((error) => error?.message)
    expect(
      sentences.filter((sentence) => !/^The picture is damaged or incomplete( \(vips.+\))?\. Copy it again/.test(sentence ?? '')),
    ).toEqual([])
  })

  test('is always refused as such, however a good one is damaged', async () => {
    const good = await noisy(24, 'png')
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(good.length), async (changes, length) => {
        const bytes = Buffer.from(good)
        for (const [at, value] of changes) bytes[at] = value
        const error = await refusal(bytes.subarray(0, length))
        expect(error === null || error instanceof PictureError).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe("a drawn picture's settings", () => {
  const record = (prompt: string): PictureRecord => ({
    schema: 1,
    id: 'p1234567890a',
    jobId: null,
    index: 0,
    createdAt: '2026-11-23T12:00:00.000Z',
    width: 4,
    height: 4,
    modelName: 'Emoji, first',
    checkpointHash: 'abcdef0123456789',
    settings: {
      model: { runId: 'r1234567890a' as RunId, step: null, weights: 'ema' },
      prompt,
      negativePrompt: 'blur',
      count: 1,
      seed: 7,
      steps: 25,
      sampler: 'heun',
      cfgScale: 3,
    },
  })
  const rgb = new Uint8Array(4 * 4 * 3).fill(77)

  test.each(['a red apple', 'une pomme à croquer', '一个红苹果 🍎', 'quotes " and\nlines', ''])(
    'come back from its file: "%s"',
    async (prompt) => {
      const png = await encodePicture(rgb, record(prompt))
      expect(readPictureRecord(png)).toEqual(record(prompt))
      expect(new Uint8Array(await sharp(png).raw().toBuffer())).toEqual(rgb)
    },
  )

  test('are readable for other studios', async () => {
    const { parameters } = readPngText(await encodePicture(rgb, record('a red apple')))
    expect(parameters).toBe(
      'a red apple\nNegative prompt: blur\nSteps: 25, Sampler: Heun, CFG scale: 3, Seed: 7, Size: 4x4, Model hash: abcdef0123, Model: Emoji  first',
    )
  })

  test('are none in a picture of somebody else, or in what is no picture', async () => {
    const png = await encodePng(rgb, 4, 4)
    for (const bytes of [
      png,
      addPngText(png, { zigma: 'hello' }),
      addPngText(png, { zigma: '{"schema":1}' }),
      Buffer.from('x'),
      Buffer.alloc(0),
    ])
      expect(readPictureRecord(bytes)).toBeNull()
  })

  test('never make reading fail, however the file is damaged', async () => {
    const png = Buffer.from(await encodePicture(rgb, record('一个红苹果')))
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(png.length - 1), fc.nat(255)), { maxLength: 30 }), fc.nat(png.length), (changes, length) => {
        const bytes = Buffer.from(png)
        for (const [at, value] of changes) bytes[at] = value
        readPictureRecord(bytes.subarray(0, length))
      }),
      { numRuns: 2000 },
    )
  })
})

test('a contact sheet shows every picture enlarged without blur, each row under a caption', async () => {
  const one = { rgb: new Uint8Array([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]), width: 2, height: 2 }
  const png = await contactSheet(
    [
      { caption: 'a <b> & "c"', pictures: [one, one] },
      { caption: '', pictures: [one] },
    ],
    20,
  )
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
  expect([info.width, info.height]).toEqual([8 + 2 * 28, 8 + 2 * 50])
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3)]
  expect([at(9, 31), at(17, 39), at(18, 31), at(9, 40), at(27, 49)]).toEqual([
    [255, 0, 0],
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [255, 255, 255],
  ])
  const captionPixels = Array.from({ length: 40 * 22 }, (_, i) => at(8 + (i % 40), 8 + Math.floor(i / 40))[0]!)
  expect(captionPixels.some((value) => value > 150)).toBe(true)
})

test('a contact sheet sets references apart and lays blocks beside each other', async () => {
  const of = (...rgb: [number, number, number]) => ({ rgb: new Uint8Array([...rgb, ...rgb, ...rgb, ...rgb]), width: 2, height: 2 })
  const rows = [of(200, 0, 0), of(0, 200, 0), of(0, 0, 200)].map((reference) => ({ caption: '', reference, pictures: [of(90, 90, 90)] }))
  const { data, info } = await sharp(await contactSheet(rows, 20, { blocks: 2 }))
    .raw()
    .toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3)]
  // A block is a reference of 20, 24 apart, a picture of 20; blocks are 24 apart; the border is 8. Captions of 22 above 20 and 8.
  expect([info.width, info.height]).toEqual([8 + 64 + 24 + 64 + 8, 8 + 2 * 50])
  expect([at(18, 40), at(18, 90), at(18 + 88, 40)]).toEqual([
    [200, 0, 0],
    [0, 200, 0],
    [0, 0, 200],
  ])
  expect([at(8 + 44 + 10, 40), at(18 + 88, 90)]).toEqual([
    [90, 90, 90],
    [22, 22, 22], // three rows leave the last place empty
  ])
  expect(at(6, 40)).toEqual(at(29, 40))
  expect(at(6, 40)).not.toEqual([22, 22, 22])
})
