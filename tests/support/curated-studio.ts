import { join } from 'node:path'
import { compose, type Studio } from '#main/compose.ts'
import type { LedgerLine } from '#main/media/dataset-files.ts'
import type { SafeFs } from '#main/store/safe-fs.ts'
import { fakeEngine } from './fake-engine.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A studio with an open project whose data set holds these items. */
export async function curatedStudio(
  lines: readonly LedgerLine[],
  { folder = temporaryFolder(), fs, mayRead, imageSize = 8 }: { folder?: string; fs?: SafeFs; mayRead?: string; imageSize?: number } = {},
): Promise<Studio> {
  const studio = await compose({
    host: 'cli',
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: mayRead === undefined ? [folder] : [folder, mayRead],
    ...(fs ? { fs } : {}),
  })
  await studio.openFolder(join(folder, 'project'), { create: true })
  const { dataset } = studio.context.project()
  await dataset.prepare()
  await dataset.setImageSize(imageSize)
  for (let from = 0; from < lines.length; from += 5000) await dataset.appendLedger(lines.slice(from, from + 5000))
  return studio
}
