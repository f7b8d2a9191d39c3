import { basename } from 'node:path'
import type { CaptionModel } from '#contracts/captioning.ts'
import type { EngineClient } from '../../engine-process/client.ts'
import { pixelsForModel } from '../../media/picture-for-model.ts'
import { CaptionError, decoded, type Captioner } from './captioner.ts'

/** Captions or tags by a user's ONNX model, which runs in the engine's process. @throws StudioError when the folder holds no such model. */
export async function modelCaptioner(model: CaptionModel, engine: EngineClient, signal: AbortSignal): Promise<Captioner> {
  const sight = await engine.call('engine.openCaptioner', model, { signal })
  return {
    maker: { kind: model.kind, name: basename(model.folder), hash: sight.hash },
    looks: true,
    gives: { caption: model.kind === 'blip' || model.asCaption, tags: model.kind === 'tagger' },
    atOnce: 2, // one is decoded here while the other is in the engine
    describe: async (_source, bytes, ended) => {
      const pixels = await decoded(() => pixelsForModel(bytes!, sight))
      const { failed, ...said } = await engine.call(
        'engine.caption',
        { model, rgb: Buffer.from(pixels).toString('base64') },
        { signal: ended },
      )
      if (failed !== null) throw new CaptionError(failed)
      return said
    },
    close: async () => void (await engine.call('engine.closeCaptioner', null)),
  }
}
