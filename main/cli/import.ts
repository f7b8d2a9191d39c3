import { resolve } from 'node:path'
import { importOptions, type ImportSource } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

/** `zigma import SOURCE --project DIR`: ends with the ledger, whatever lies in the source. */
export async function importCommand(
  output: Output,
  source: string,
  options: { project: string; size?: number; background: string },
): Promise<void> {
  const wanted: ImportSource = source === 'sample' ? { kind: 'sample' } : { kind: 'folder', path: resolve(source) }
  const allowed = wanted.kind === 'sample' ? [] : [wanted.path]
  await withProject(options.project, allowed, async (studio) => {
    const { services, context } = studio
    const imageSize = options.size ?? (await context.project().dataset.imageSize()) ?? 32
    const parsed = importOptions.safeParse({ imageSize, background: options.background })
    if (!parsed.success)
      throw new StudioError(
        'invalid-request',
        `${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}. Sizes are multiples of 8 from 8 to 1024, colors #rrggbb.`,
      )
    const signal = new AbortController().signal
    const job = await services['dataset.import']({ source: wanted, options: parsed.data }, { signal })
    await finishJob(studio, job as never, output)
    const ledger = await context.project().dataset.ledger()
    const { totals, items, snapshot } = await context.project().dataset.describe()
    const rejected = ledger
      .filter(({ state }) => state !== 'used')
      .map(({ source: file, state, detail }) => `  ${state}: ${JSON.stringify(file)} · ${detail}`)
    output.answer(
      { totals, items, snapshot, ledger: ledger.map(({ item, ...line }) => ({ ...line, itemId: item?.id ?? null })) },
      [
        `${totals.found} files: ${totals.used} used, ${totals.partial} partly, ${totals.rejected} rejected. The data set holds ${items} pictures.`,
        ...rejected.slice(0, 20),
        ...(rejected.length > 20 ? [`  and ${rejected.length - 20} more (--json lists all)`] : []),
      ].join('\n'),
    )
  })
}
