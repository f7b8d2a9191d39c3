import { realpath } from 'node:fs/promises'
import { basename } from 'node:path'
import type { AutoencoderInfo } from '#contracts/autoencoder.ts'
import { StudioError } from '#contracts/errors.ts'
import type { StudioServices } from '#contracts/studio.ts'
import type { ModelChoice } from '#contracts/xray.ts'
import { findAutoencoder } from '../media/autoencoder-folder.ts'
import type { StudioContext } from './context.ts'
import { isAllowed } from './dataset.ts'

type AutoencoderServices = Pick<
  StudioServices,
  'autoencoder.describe' | 'autoencoder.choose' | 'autoencoder.remove' | 'cache.describe' | 'cache.clean' | 'xray.roundTrip'
>

/** So long one picture of 64 x 64 may take, with the copying before. */
const patienceMs = 300_000

export function autoencoderServices(context: StudioContext): AutoencoderServices {
  const mayRead = (path: string) => isAllowed(context.allowedRoots, path)

  /** The one that a run was trained with, else the one that is chosen for the project. */
  const seenBy = async (model: ModelChoice): Promise<AutoencoderInfo | null> => {
    const project = context.project()
    const own = model.kind === 'run' ? project.run(model.runId).recipe.autoencoder : null
    return own ? project.autoencoders.get(own.hash) : project.autoencoders.chosen()
  }

  return {
    'autoencoder.describe': () => context.project().autoencoders.chosen(),
    'autoencoder.choose': async ({ path }, { signal }) => {
      const { autoencoders, engine } = context.project()
      const folder = await realpath(path).catch((cause: unknown) => {
        throw new StudioError('bad-source', `"${path}" cannot be read. Check that it is there and that you may open it.`, { cause })
      })
      if (!mayRead(folder))
        throw new StudioError(
          'bad-source',
          `"${path}" lies outside the folders this studio may read (${[...context.allowedRoots].join(', ')}). Start it with --allow FOLDER to add one.`,
        )
      const source = await findAutoencoder(folder, mayRead)
      const patience = AbortSignal.timeout(patienceMs)
      const either = AbortSignal.any([signal, patience])
      const chosen = await autoencoders
        .add(source, basename(folder).slice(0, 200), either, (autoencoderFolder) =>
          engine.call('engine.inspectAutoencoder', { autoencoderFolder }, { signal: either }),
        )
        .catch((cause: unknown) => {
          if (!patience.aborted) throw cause
          throw new StudioError(
            'unsafe-file',
            `The autoencoder in "${path}" was not copied and tried out within ${patienceMs / 60_000} minutes. Choose a smaller one.`,
            { cause },
          )
        })
      await autoencoders.choose(chosen.hash)
      context.publish('autoencoder.changed', { chosen })
      return chosen
    },
    'autoencoder.remove': async () => {
      const { autoencoders, runs } = context.project()
      const chosen = await autoencoders.chosen()
      await autoencoders.choose(null)
      if (chosen && !runs.list().some(({ recipe }) => recipe.autoencoder?.hash === chosen.hash)) await autoencoders.remove(chosen.hash)
      context.publish('autoencoder.changed', { chosen: null })
      return null
    },
    'cache.describe': () => context.project().latents.describe(),
    'cache.clean': () => context.project().latents.clean(),
    'xray.roundTrip': async ({ id, model, frame = 0 }) => {
      const autoencoder = await seenBy(model)
      return autoencoder && context.project().roundTrips.describe(id, frame, autoencoder)
    },
  }
}
