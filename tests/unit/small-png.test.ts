import sharp from 'sharp'
import { expect, test } from 'vitest'
import { encodeSmallPng } from '#main/media/small-png.ts'

test.for([
  [1, 1],
  [3, 2],
  [16, 16],
  [63, 64],
] as const)('libvips reads a picture of %i x %i pixels as it was written', async ([width, height]) => {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37 + (i >> 3)) & 255)
  const { data, info } = await sharp(encodeSmallPng(rgb, width, height))
    .raw()
    .toBuffer({ resolveWithObject: true })
  expect(info).toMatchObject({ width, height, channels: 3 })
  expect(new Uint8Array(data)).toEqual(rgb)
})
