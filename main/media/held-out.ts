import type { DatasetReader } from '#engine/ports.ts'
import { sha256 } from '../store/safe-fs.ts'

export interface HeldOutExample {
  caption: string
  /** Training pixels, imageSize x imageSize x 3, that no training of the snapshot sees. */
  rgb: Uint8Array
}

/**
 * Held-out pictures with captions that no training picture has, `count` of them at most. Which ones follows from the seed and from what the pictures are
 * alone, so nobody picks those that came out well.
 */
export function heldOutExamples(dataset: DatasetReader, { count, seed }: { count: number; seed: number }): HeldOutExample[] {
  const trained = new Set(dataset.captions.flatMap((captions, i) => (dataset.splits[i] === 'train' ? captions : [])))
  const chosen = new Map<string, number>()
  const drawn = dataset.ids
    .map((id, item) => ({ item, rank: sha256(`held out ${seed} ${id}`) }))
    .filter(({ item }) => dataset.splits[item] === 'validation')
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
  for (const { item } of drawn) {
    const caption = dataset.captions[item]![0]!
    if (chosen.size < count && caption !== '' && !trained.has(caption) && !chosen.has(caption)) chosen.set(caption, item)
  }
  return [...chosen].map(([caption, item]) => ({ caption, rgb: dataset.image(item) }))
}
