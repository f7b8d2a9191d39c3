import { describe, expect, test } from 'vitest'
import type { DatasetReader } from '#engine/ports.ts'
import { fitTokenizer, Tokenizer } from '#engine/text/tokenizer.ts'
import { BatchReader, DataOrder, type Chance } from '#engine/training/batch.ts'
import { pixelExamples } from '#engine/training/examples.ts'
import { showings } from '#engine/training/validation.ts'

const size = 4
const tokens = 4
/** Item i: all pixels [i, i, i], but the first column, which is red. */
const dataset: DatasetReader = {
  size: 8,
  imageSize: size,
  ids: Array.from({ length: 8 }, (_, i) => `item${i}`),
  pixelHashes: Array.from({ length: 8 }, (_, i) => String(i)),
  captions: Array.from({ length: 8 }, () => ['red', 'blue']),
  splits: Array.from({ length: 8 }, () => 'train' as const),
  repeats: Array.from({ length: 8 }, () => 1),
  image: (index, into = new Uint8Array(size * size * 3)) => {
    for (let pixel = 0; pixel < size * size; pixel++) into.set(pixel % size === 0 ? [255, 0, 0] : [index, index, index], pixel * 3)
    return into
  },
  [Symbol.dispose]: () => undefined,
}
const tokenizer = new Tokenizer(fitTokenizer(['red', 'blue'], 64))
const many = Array.from({ length: 200 }, (_, i) => i % 8)
const chance = { seed: 3, step: 5, flip: true }

const readBatch = (items: readonly number[], chance: Chance | null) =>
  new BatchReader(pixelExamples(dataset), items.length, { tokenizer, tokens }).read(items, chance)

/** The place of the red column in each picture of a batch. */
const redColumns = (images: ArrayLike<number>) =>
  Array.from({ length: images.length / (size * size * 3) }, (_, i) =>
    [0, 1, 2, 3].filter((column) => images[i * size * size * 3 + column * 3] === 255),
  )

describe('a batch', () => {
  test('holds the bytes of its items in their order', async () => {
    const { images, ids } = await new BatchReader(pixelExamples(dataset), 2, null).read([5, 2], null)
    expect(images).toEqual(Uint8Array.from([...dataset.image(5), ...dataset.image(2)]))
    expect(ids).toBeNull()
  })

  test('stays as it is while the next one is read', async () => {
    const reader = new BatchReader(pixelExamples(dataset), 1, null)
    const { images } = await reader.read([5], null)
    await reader.read([2], null)
    expect(images).toEqual(dataset.image(5))
  })

  test('mirrors about half of its pictures, and nothing but left and right', async () => {
    const { images } = await readBatch(many, chance)
    const columns = redColumns(images)
    expect(columns.every((red) => red.length === 1 && (red[0] === 0 || red[0] === size - 1))).toBe(true)
    const mirrored = columns.filter(([red]) => red === size - 1).length
    expect(mirrored).toBeGreaterThan(70)
    expect(mirrored).toBeLessThan(130)
  })

  test('takes each of two captions about as often, and the first where nothing is left to chance', async () => {
    const first = tokenizer.encode('red', tokens)
    const reds = (ids: Int32Array) =>
      many.filter((_, i) => ids.subarray(i * tokens, (i + 1) * tokens).every((id, k) => id === first[k])).length
    const drawn = reds((await readBatch(many, chance)).ids!)
    expect(drawn).toBeGreaterThan(70)
    expect(drawn).toBeLessThan(130)
    expect(reds((await readBatch(many, null)).ids!)).toBe(200)
  })

  test('is the same for the same seed and step, and another for the next step', async () => {
    const draw = (step: number) => readBatch(many, { ...chance, step })
    expect(await draw(5)).toEqual(await draw(5))
    expect(await draw(6)).not.toEqual(await draw(5))
  })
})

describe('repeats', () => {
  const splits = ['train', 'validation', 'train', null, 'train'] as const
  const repeats = [3, 9, 1, 5, 12]
  const total = 3 + 1 + 12

  test('show each training item exactly so often in every epoch, whatever the batch size', () => {
    for (const batchSize of [1, 3, 5, 16]) {
      const order = new DataOrder(showings({ splits, repeats }), 7, batchSize)
      const epochs = 15
      const shown = Array.from({ length: (total * epochs) / batchSize }, (_, i) => order.itemsOf(i + 1)).flat()
      for (let epoch = 0; epoch < epochs; epoch++) {
        const inEpoch = shown.slice(epoch * total, (epoch + 1) * total)
        expect([0, 1, 2, 3, 4].map((item) => inEpoch.filter((one) => one === item).length)).toEqual([3, 0, 1, 0, 12])
      }
    }
  })

  test('give an order that is a function of seed and step alone, so that any step can be the first that is asked for', () => {
    const order = new DataOrder(showings({ splits, repeats }), 7, 5)
    const straight = Array.from({ length: 40 }, (_, i) => order.itemsOf(i + 1))
    for (const step of [40, 17, 3, 25]) expect(new DataOrder(showings({ splits, repeats }), 7, 5).itemsOf(step)).toEqual(straight[step - 1])
    expect(straight.slice(0, 3).flat()).not.toEqual(
      straight
        .slice(0, 3)
        .flat()
        .toSorted((a, b) => a - b),
    ) // shuffled, not in runs
  })

  test('of 1 leave the order of runs of before as it was', () => {
    const items = [0, 2, 4]
    const before = new DataOrder(items, 7, 2)
    const now = new DataOrder(showings({ splits, repeats: [1, 1, 1, 1, 1] }), 7, 2)
    for (let step = 1; step < 20; step++) expect(now.itemsOf(step)).toEqual(before.itemsOf(step))
  })
})

test('an epoch shows every item once, in another order than the last one', () => {
  const order = new DataOrder([0, 1, 2, 3, 4, 5, 6, 7], 1, 4)
  const [first, second] = [
    [1, 2],
    [3, 4],
  ].map((steps) => steps.flatMap((step) => order.itemsOf(step)))
  expect(first!.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(second!.toSorted()).toEqual(first!.toSorted())
  expect(second).not.toEqual(first)
})
