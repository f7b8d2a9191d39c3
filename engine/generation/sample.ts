import type { SampleRequest } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { readDrawingWeights } from '../checkpoint/training-state.ts'
import type { EnginePorts } from '../ports.ts'
import { Buffers } from '../runtime/buffers.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import { Drawer } from './drawer.ts'
import { openDecoder, shown } from './shown.ts'

const batchLimit = 8

/** Draws the pictures `indices` of a request; picture i comes from seed + i and is published as soon as it is done. */
export async function sample(
  ports: EnginePorts,
  runtime: NativeRuntime,
  { runFolder, indices, request, autoencoderFolder }: SampleRequest,
  signal: AbortSignal,
): Promise<{ checkpointHash: string; step: number; pictures: number }> {
  const checkpoints = ports.checkpoints(runFolder)
  const stored = request.model.step === null ? await checkpoints.newest() : await checkpoints.at(request.model.step)
  if (!stored)
    throw new StudioError(
      'not-found',
      'The run has no checkpoint yet. Let it train until its first checkpoint, or stop it, which writes one.',
    )
  const { recipe, tokenizer: model, tensors } = readDrawingWeights(stored.files, request.model.weights)
  const tokenizer = model ? new Tokenizer(model) : null

  using memory = new Buffers(runtime, new Map([...tensors].map(([name, { shape }]) => [name, { dtype: 'f32' as const, shape }])))
  for (const [name, { values }] of tensors) memory.write(name, values)
  const batchSize = Math.min(batchLimit, indices.length)
  if (batchSize === 0) return { checkpointHash: stored.hash, step: stored.step, pictures: 0 }
  using drawer = await Drawer.create(runtime, recipe, memory.tensors, { tokenizer, batchSize, guided: request.cfgScale !== 1 })
  using autoencoder = await openDecoder(ports, runtime, recipe, autoencoderFolder)
  for (let first = 0; first < indices.length; first += batchSize) {
    signal.throwIfAborted()
    const batch = indices.slice(first, first + batchSize)
    const seeds = batch.map((index) => request.seed + index)
    const pictures = await drawer.draw(
      batch.map(() => request.prompt),
      seeds,
      request,
      { signal },
    )
    for (const [i, picture] of pictures.entries()) {
      ports.publish('engine.drew', {
        runFolder,
        index: batch[i]!,
        seed: seeds[i]!,
        step: stored.step,
        checkpointHash: stored.hash,
        ...(await shown(picture, recipe, autoencoder, signal)),
      })
    }
  }
  return { checkpointHash: stored.hash, step: stored.step, pictures: indices.length }
}
