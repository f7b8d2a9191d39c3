import { expect, test } from 'vitest'
import type { DatasetReader } from '#engine/ports.ts'
import { heldOutExamples } from '#main/media/held-out.ts'

/** Items whose pixels are their number; of every three one is held out. */
function dataset(captions: readonly string[][]): DatasetReader {
  return {
    size: captions.length,
    imageSize: 1,
    ids: captions.map((_, i) => `id ${i}`),
    captions,
    splits: captions.map((_, i) => (i % 3 === 0 ? 'validation' : 'train')),
    repeats: captions.map(() => 1),
    pixelHashes: captions.map(() => ''),
    image: (i) => new Uint8Array([i, i, i]),
    [Symbol.dispose]: () => undefined,
  }
}
const sixty = dataset(Array.from({ length: 60 }, (_, i) => [`caption ${i}`]))

test('held-out examples are held out, each once, with their own captions', () => {
  const examples = heldOutExamples(sixty, { count: 16, seed: 0 })
  expect(new Set(examples.map(({ caption }) => caption)).size).toBe(16)
  for (const { caption, rgb } of examples) {
    expect(rgb[0]! % 3).toBe(0)
    expect(caption).toBe(`caption ${rgb[0]}`)
  }
})

test('the same seed chooses the same, another seed others, and fewer are the first of more', () => {
  const captions = (count: number, seed: number) => heldOutExamples(sixty, { count, seed }).map(({ caption }) => caption)
  expect(captions(16, 5)).toEqual(captions(16, 5))
  expect(captions(16, 5)).not.toEqual(captions(16, 6))
  expect(captions(4, 5)).toEqual(captions(16, 5).slice(0, 4))
})

test('a caption that training pictures have as well, one that says nothing, and one that was chosen already do not count', () => {
  const captions = [['a cat'], ['a dog', 'a cat'], ['x'], [''], ['y'], ['z'], ['a hat'], ['y'], ['z'], ['a hat'], ['y'], ['z']]
  expect(heldOutExamples(dataset(captions), { count: 16, seed: 0 }).map(({ caption }) => caption)).toEqual(['a hat'])
})
