import { resolve } from 'node:path'
import { importOptions, type ImportSource, type SourceLayout } from '#contracts/dataset.ts'
import { StudioError, toWire } from '#contracts/errors.ts'
import type { Job } from '#contracts/job.ts'
import type { Studio } from '../compose.ts'
import type { Output } from './output.ts'
import { finishJob, withProject } from './session.ts'

interface Asked {
  project: string
  size?: number
  background: string
  layout?: SourceLayout
  copy?: boolean
}

/** `zigma import SOURCE --project DIR`: ends with the ledger, whatever lies in the source. */
export async function importCommand(output: Output, source: string, options: Asked): Promise<void> {
  const path = resolve(source)
  const wanted: ImportSource =
    source === 'sample'
      ? { kind: 'sample' }
      : { kind: 'folder', path, ...(options.layout ? { layout: options.layout } : {}), originals: options.copy ? 'copy' : 'reference' }
  const bringIn = async (studio: Studio) => {
    const { services, context } = studio
    const { dataset } = context.project()
    const imageSize = options.size ?? (await dataset.imageSize()) ?? 32
    const parsed = importOptions.safeParse({ imageSize, background: options.background })
    if (!parsed.success)
      throw new StudioError(
        'invalid-request',
        `${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}. Sizes are multiples of 8 from 8 to 1024, colors #rrggbb.`,
      )
    const signal = new AbortController().signal
    const recognized = await services['dataset.recognize'](wanted, { signal })
    output.line(`Importing ${recognized.description}.`)
    const job = (await services['dataset.import']({ source: wanted, options: parsed.data }, { signal })) as Job
    const noPicture = await finishJob(studio, job, output).then(
      () => null,
      (cause: unknown) => {
        if (cause instanceof StudioError && cause.code === 'bad-source') return cause // what there was instead is in the ledger
        throw cause
      },
    )
    const ledger = await dataset.entries()
    const { totals, items, clips, roots, snapshot } = await context.project().describeDataset()
    const rejected = ledger
      .filter(({ state }) => state !== 'used')
      .map(({ source: file, state, detail }) => `  ${state}: ${JSON.stringify(file)} · ${detail}`)
    output.answer(
      {
        ...(noPicture ? { error: toWire(noPicture) } : {}),
        recognized,
        totals,
        items,
        roots,
        snapshot,
        clips,
        ledger: ledger.map(({ items: _, copied: __, ...line }) => line),
      },
      [
        `${totals.found} files: ${totals.used} used, ${totals.partial} partly, ${totals.rejected} rejected. The data set holds ${items - clips} pictures${clips > 0 ? ` and ${clips} clips` : ''}.`,
        ...rejected.slice(0, 20),
        ...(rejected.length > 20 ? [`  and ${rejected.length - 20} more (--json lists all)`] : []),
      ].join('\n'),
    )
    if (noPicture) throw noPicture
  }
  await withProject(options.project, source === 'sample' ? [] : [path], bringIn, { keepEmpty: false })
}
