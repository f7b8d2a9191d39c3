import { StudioError } from '#contracts/errors.ts'
import type { ExportPlan } from '#contracts/export.ts'
import { ExportLatents } from '../media/export/export-latents.ts'
import type { ListedItems } from '../store/export-list.ts'
import type { OpenProject } from './open-project.ts'

/** The latents that a plan asks for, of training pictures with an edge of `imageSize` pixels; null where it asks for none. @throws StudioError invalid-request. */
export async function latentsOf(
  project: OpenProject,
  { layout, latents }: Pick<ExportPlan, 'layout' | 'latents'>,
  imageSize: number | null,
): Promise<ExportLatents | null> {
  if (!latents) return null
  if (layout !== 'zigma')
    throw new StudioError(
      'invalid-request',
      "Only ZigMa's own code reads latents beside the pictures. Choose its layout, or export without latents.",
    )
  const autoencoder = await project.autoencoders.chosen()
  if (!autoencoder)
    throw new StudioError(
      'invalid-request',
      'The project has no autoencoder, so its pictures have no latents. Choose one, or export without latents.',
    )
  if (imageSize === null) throw new TypeError('latentsOf: latents are of pictures, and there is none')
  if (imageSize % autoencoder.factor !== 0)
    throw new StudioError(
      'invalid-request',
      `"${autoencoder.name}" makes one latent of ${autoencoder.factor} pixels, and the pictures' edge of ${imageSize} is no multiple of that. Choose another autoencoder, or export without latents.`,
    )
  return ExportLatents.open(project.folder.features, autoencoder, imageSize)
}

/** @throws StudioError invalid-request when a picture has no latents yet. */
export async function checkLatents(listed: ListedItems, latents: ExportLatents): Promise<void> {
  let [pictures, missing] = [0, 0]
  for await (const items of listed.pages()) {
    const some = items.filter(({ clip }) => !clip)
    pictures += some.length
    missing += some.filter((item) => !latents.has(item)).length
  }
  if (missing === 0) return
  throw new StudioError(
    'invalid-request',
    `${missing} of ${pictures} pictures have no latents of "${latents.autoencoder.name}" yet: start a training with it, which makes them before its first step and lists the pictures that it cannot encode (reject these), or export without latents.`,
  )
}
