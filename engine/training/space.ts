import type { TrainRequest } from '#contracts/engine.ts'
import type { Autoencoder } from '../autoencoder/autoencoder.ts'
import { encodeDataset } from '../encoding/latent-examples.ts'
import { openDecoder } from '../generation/shown.ts'
import { latentsEncoder, type DatasetReader, type EnginePorts } from '../ports.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { pixelExamples, type Examples } from './examples.ts'

/** What a model is trained on, and what turns its pictures back into pixels. */
export interface Space extends Disposable {
  examples: Examples
  autoencoder: Autoencoder | null
}

/** The pictures of a data set in the space of a recipe: pixels, or latents, which are made here where the cache lacks them. */
export async function openSpace(
  ports: EnginePorts,
  runtime: NativeRuntime,
  { recipe, latents, runFolder }: TrainRequest,
  dataset: DatasetReader,
  signal: AbortSignal,
): Promise<Space> {
  const autoencoder = await openDecoder(ports, runtime, recipe, latents?.autoencoderFolder)
  if (!autoencoder || !recipe.autoencoder || !latents)
    return { examples: pixelExamples(dataset), autoencoder: null, [Symbol.dispose]: () => undefined }
  using stack = new DisposableStack()
  stack.use(autoencoder)
  const { channels, height, width } = autoencoder.shape
  const store = stack.use(
    await ports.openFeatures(latents.cacheFolder, {
      kind: 'latents',
      encoder: latentsEncoder(recipe.autoencoder.hash),
      dtype: autoencoder.dtype,
      shape: [channels, height, width],
    }),
  )
  const examples = await encodeDataset({
    dataset,
    autoencoder,
    store,
    mirrored: recipe.flip,
    hash: (bytes) => ports.hash(bytes),
    signal,
    news: {
      progressed: (progress) => ports.publish('engine.encoded', { runFolder, ...progress }),
      warned: (message) => ports.publish('engine.warned', { runFolder, message }),
    },
  })
  const owned = stack.move()
  return { examples, autoencoder, [Symbol.dispose]: () => owned.dispose() }
}
