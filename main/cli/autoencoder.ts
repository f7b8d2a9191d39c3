import { resolve } from 'node:path'
import { StudioError } from '#contracts/errors.ts'
import type { Output } from './output.ts'
import { sizeText } from './output.ts'
import { withProject } from './session.ts'

/** `zigma autoencoder [FOLDER] --project DIR [--remove]`: which autoencoder the project has; with a folder it is chosen. */
export async function autoencoderCommand(
  output: Output,
  folder: string | undefined,
  { project, remove = false }: { project: string; remove?: boolean },
): Promise<void> {
  if (remove && folder !== undefined) throw new StudioError('invalid-request', 'Give either a folder or --remove.')
  const path = folder === undefined ? null : resolve(folder)
  await withProject(project, path === null ? [] : [path], async ({ services }) => {
    const call = { signal: new AbortController().signal }
    if (remove) await services['autoencoder.remove'](null, call)
    const chosen = path === null ? await services['autoencoder.describe'](null, call) : await services['autoencoder.choose']({ path }, call)
    output.answer(
      { autoencoder: chosen },
      chosen
        ? `"${chosen.name}": ${chosen.channels} channels, each of ${chosen.factor} x ${chosen.factor} pixels, scaling factor ${chosen.scalingFactor}, ${chosen.dtype}, ${sizeText(chosen.sizeBytes)}, ${chosen.hash}. \`train --latents\` uses it.`
        : 'The project has no autoencoder.',
    )
  })
}
