import type { DatasetItem } from '#contracts/dataset.ts'
import type { ItemId } from '#contracts/project.ts'
import type { LedgerLine } from '#main/media/dataset-files.ts'
import { sha256 } from '#main/store/safe-fs.ts'

type Made = Partial<Pick<DatasetItem, 'caption' | 'width' | 'height' | 'state'>> & { tags?: string[]; pixelHash?: string }

/** The id of the n-th made item. */
export function madeId(n: number): ItemId {
  return sha256(`item ${n}`).slice(0, 20) as ItemId
}

/** Ledger lines of items that have no pixels: all that curation looks at. */
export function ledgerOf(count: number, made: (n: number) => Made = () => ({})): LedgerLine[] {
  return Array.from({ length: count }, (_, n) => {
    const { caption = `item ${n}`, width = 64, height = 64, state = 'used', tags, pixelHash = sha256(`pixels ${n}`) } = made(n)
    const item = { id: madeId(n), caption, width, height, shard: 0, slot: n, pixelHash, ...(tags ? { tags } : {}) }
    return { root: '/pictures', source: `${n}.png`, state, reason: null, detail: null, fileHash: sha256(`item ${n}`), item }
  })
}
