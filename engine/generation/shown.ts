import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { OnnxAutoencoder, type Autoencoder } from '../autoencoder/autoencoder.ts'
import { rgbBytes } from '../pixels.ts'
import type { EnginePorts } from '../ports.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import type { DrawnPicture } from './drawer.ts'

/** A drawn picture as RGB bytes: of pixels as it is, of latents decoded. */
export async function shown(
  { values }: DrawnPicture,
  { model }: Pick<Recipe, 'model'>,
  autoencoder: Autoencoder | null,
  signal?: AbortSignal,
): Promise<{ width: number; height: number; rgb: Uint8Array }> {
  const { width, height } = model
  if (!autoencoder) return { width, height, rgb: rgbBytes(values, width, height) }
  return { width: width * autoencoder.factor, height: height * autoencoder.factor, rgb: await autoencoder.decode(values, signal) }
}

/** The autoencoder of a model on latents; null for one on pixels. @throws StudioError not-found when it is not there. */
export async function openDecoder(
  ports: EnginePorts,
  runtime: NativeRuntime,
  { autoencoder, model }: Recipe,
  folder: string | undefined,
): Promise<Autoencoder | null> {
  if (!autoencoder) return null
  if (folder === undefined)
    throw new StudioError(
      'not-found',
      `The autoencoder "${autoencoder.name}" that this model needs is not in the project. Choose it again.`,
    )
  return OnnxAutoencoder.open(runtime, await ports.openAutoencoder(folder), model.width * autoencoder.factor)
}
