import type { CaptionerChoice } from '#contracts/captioning.ts'
import type { CaptionKeys } from '../../store/caption-keys.ts'
import type { EngineClient } from '../../engine-process/client.ts'
import type { Captioner } from './captioner.ts'
import { modelCaptioner } from './model-captioner.ts'
import { nameCaptioner } from './name-captioner.ts'
import { serverCaptioner } from './server-captioner.ts'

/** The captioner that was chosen, ready to describe. @throws StudioError when it cannot be had, with what to do. */
export async function openCaptioner(
  choice: CaptionerChoice,
  { engine, captionKeys }: { engine: EngineClient; captionKeys: CaptionKeys },
  signal: AbortSignal,
): Promise<Captioner> {
  switch (choice.kind) {
    case 'names':
      return nameCaptioner(choice)
    case 'server':
      return serverCaptioner(choice, await captionKeys.of(choice.address))
    case 'tagger':
    case 'blip':
      return modelCaptioner(choice, engine, signal)
  }
}
