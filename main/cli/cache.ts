import type { Output } from './output.ts'
import { sizeText } from './output.ts'
import { withProject } from './session.ts'

/** `zigma cache --project DIR [--clean]`: what is kept of encoders, and what of it nothing asks for. */
export async function cacheCommand(output: Output, { project, clean = false }: { project: string; clean?: boolean }): Promise<void> {
  await withProject(project, [], async ({ services }) => {
    const call = { signal: new AbortController().signal }
    const cleaned = clean ? await services['cache.clean'](null, call) : null
    const report = await services['cache.describe'](null, call)
    const { entries, sizeBytes, orphans, orphanBytes, groups, quarantined } = report
    const lines = [
      ...(cleaned ? [`Deleted ${cleaned.entries} entries, ${sizeText(cleaned.sizeBytes)}.`] : []),
      `The cache holds ${entries} entries, ${sizeText(sizeBytes)}; nothing asks for ${orphans} of them, ${sizeText(orphanBytes)}${orphanBytes > 0 ? ' (--clean deletes these)' : ''}.`,
      ...groups.map(
        (group) =>
          `  ${group.name}${group.encoder ? ` of "${group.encoder}"` : ''}: ${group.entries} entries, ${sizeText(group.sizeBytes)}`,
      ),
      ...quarantined.map(({ source, reason }) => `  cannot be encoded: ${JSON.stringify(source)} · ${reason}`),
    ]
    output.answer({ ...report, cleaned }, lines.join('\n'))
  })
}
