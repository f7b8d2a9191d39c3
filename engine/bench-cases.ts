import type { Recipe } from '#contracts/recipe.ts'
import { presets } from './presets.ts'

export interface GpuCase {
  name: string
  /** What is measured: a training step or one evaluation of the network. */
  work: 'train' | 'sample'
  /** Its batch is the one that is measured. */
  recipe: Recipe
  /** The strongest form of the official network that was measured on one H200 (docs/performance.md), milliseconds; null where there is none. */
  peerMs: number | null
  /** The case that differs from this one in one thing, which its time is held against; null where there is none. */
  base: string | null
}

/** The official configurations of width 768 and depth 24, in the sizes that docs/performance.md compares, and what else is asked of them. */
export function gpuCases(): GpuCase[] {
  const named = (name: string): Recipe => presets.find((preset) => preset.name === name)!.recipe
  const [small, large, text] = [named('zigzag8_b1_pe2'), named('s1024_zigzag8_b2_old'), named('zigzag8_b1_pe2_text')]
  const sized = (pixels: number): Recipe => ({ ...large, model: { ...large.model, height: pixels, width: pixels, patchSize: 1 } })
  const identity: Recipe = { ...small, model: { ...small.model, scan: { kind: 'raster', count: 1 } } }
  type Row = [work: GpuCase['work'], recipe: Recipe, batchSize: number, peerMs: number | null, what?: string, base?: string]
  const rows: Row[] = [
    ['train', identity, 32, null, 'identity order'],
    ['train', small, 32, 186.4, '', 'identity order'],
    ['train', { ...small, recompute: 'balanced' }, 32, null, 'balanced', ''],
    ['train', { ...small, recompute: 'memory' }, 32, null, 'memory', ''],
    ['train', { ...small, recompute: 'memory', microBatch: 16 }, 32, null, 'memory, pieces of 16', ''],
    ['train', { ...small, precision: 'f16' }, 32, null, 'f16', ''],
    ['train', text, 32, 209.2, 'text'],
    ['train', large, 4, 99.3],
    ['train', sized(128), 4, 392.8],
    ['train', small, 1, 15.0],
    ['sample', identity, 32, null, 'identity order'],
    ['sample', small, 32, 48.9, '', 'identity order'],
    ['sample', text, 32, 56.3, 'text'],
    ['sample', small, 1, 2.63],
    ['sample', text, 1, 4.38, 'text'],
    ['sample', large, 4, 26.5],
    ['sample', sized(128), 4, 113.9],
    ['sample', sized(128), 1, 26.3],
    ['sample', sized(256), 1, null],
    ['train', sized(256), 1, null],
  ]
  return rows.map(([work, recipe, batchSize, peerMs, what = '', base]) => {
    const nameOf = (what: string) => `${work} ${tokensOf(recipe)} x ${batchSize}${what && `, ${what}`}`
    return { name: nameOf(what), work, recipe: { ...recipe, batchSize }, peerMs, base: base === undefined ? null : nameOf(base) }
  })
}

/** Tokens of one picture. */
export function tokensOf({ model: { height, width, patchSize } }: Recipe): number {
  return (height / patchSize) * (width / patchSize)
}
