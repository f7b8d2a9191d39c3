import { join } from 'node:path'
import type { DatasetItem } from '#contracts/dataset.ts'
import type { ItemId } from '#contracts/project.ts'
import { compose, type Studio } from '#main/compose.ts'
import type { LedgerLine } from '#main/media/dataset-files.ts'
import { sha256, type SafeFs } from '#main/store/safe-fs.ts'
import { fakeEngine } from './fake-engine.ts'
import { temporaryFolder } from './temporary-folder.ts'

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

/** A studio with an open project whose data set holds these items. */
export async function curatedStudio(
  lines: readonly LedgerLine[],
  { folder = temporaryFolder(), fs }: { folder?: string; fs?: SafeFs } = {},
): Promise<Studio> {
  const studio = await compose({
    host: 'cli',
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: [folder],
    ...(fs ? { fs } : {}),
  })
  await studio.openFolder(join(folder, 'project'), { create: true })
  const { dataset } = studio.context.project()
  await dataset.prepare()
  await dataset.setImageSize(8)
  for (let from = 0; from < lines.length; from += 5000) await dataset.appendLedger(lines.slice(from, from + 5000))
  return studio
}
