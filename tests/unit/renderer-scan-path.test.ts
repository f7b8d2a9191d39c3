import { expect, test } from 'vitest'
import { colorAt } from '#renderer/composables/scan-drawing.ts'
import { patchInOriginal, patchInTraining, pixelRange, shareLeftOut } from '#renderer/composables/patch-area.ts'
import { neighborToken, scanPathOf } from '#renderer/composables/scan-path.ts'

const pathOver = (tokens: readonly number[], rows: number, columns: number) => {
  const permutation = Buffer.from(Int32Array.from(tokens).buffer).toString('base64')
  return scanPathOf({ kind: 'zigzag', span: 'frame', number: 0, permutation }, { rows, columns })
}

test('a path that turns at each end of a row has no jumps, one that starts each row anew has one for each row but the first', () => {
  expect(pathOver([0, 1, 2, 5, 4, 3, 6, 7, 8], 3, 3).jumps).toBe(0)
  expect(pathOver([0, 1, 2, 3, 4, 5, 6, 7, 8], 3, 3).jumps).toBe(2)
})

test('a path says in which corner it begins and where it goes first', () => {
  expect(pathOver([8, 5, 2, 1, 4, 7, 6, 3, 0], 3, 3)).toMatchObject({ start: { bottom: true, right: true }, heading: 'up' })
  expect(pathOver([2, 1, 0, 3, 4, 5], 2, 3)).toMatchObject({ start: { bottom: false, right: true }, heading: 'left' })
})

test('the position of the token at a position is that position', () => {
  const { tokenAt, positionOf } = pathOver([3, 1, 0, 2], 2, 2)
  expect([0, 1, 2, 3].map((position) => positionOf[tokenAt[position]!])).toEqual([0, 1, 2, 3])
})

test('arrow keys stay on the grid', () => {
  const grid = { rows: 2, columns: 3 }
  expect([neighborToken(0, 'left', grid), neighborToken(0, 'up', grid), neighborToken(5, 'right', grid), neighborToken(5, 'down', grid)]).toEqual([0, 0, 5, 5]) // prettier-ignore
  expect([neighborToken(1, 'left', grid), neighborToken(1, 'right', grid), neighborToken(1, 'down', grid)]).toEqual([0, 2, 4])
})

test('the patches of a picture cover it once, in the training picture and in the crop of the original', () => {
  const area = {
    grid: { rows: 4, columns: 4 },
    training: { width: 32, height: 32, pictureUrl: '' },
    crop: { x: 100, y: 0, width: 400, height: 400 },
  }
  expect(patchInTraining(5, area)).toEqual({ x: 8, y: 8, width: 8, height: 8 })
  expect(patchInOriginal(15, area)).toEqual({ x: 400, y: 300, width: 100, height: 100 })
  expect(pixelRange(400, 100)).toEqual({ first: 400, last: 499 })
  expect(pixelRange(12.4, 6.2)).toEqual({ first: 12, last: 18 })
})

test('a square out of a picture half as high again leaves out a third', () => {
  const original = { width: 600, height: 400, pictureUrl: null, away: null }
  expect(shareLeftOut({ original, crop: { x: 100, y: 0, width: 400, height: 400 } })).toBeCloseTo(1 / 3)
})

test('a gradient begins with its first color, ends with its last and passes halfway between two', () => {
  const stops = ['#000000', '#ff0000', '#ffffff']
  expect([0, 0.25, 0.5, 1, 7].map((share) => colorAt(stops, share))).toEqual(['rgb(0 0 0)', 'rgb(128 0 0)', 'rgb(255 0 0)', 'rgb(255 255 255)', 'rgb(255 255 255)']) // prettier-ignore
})
