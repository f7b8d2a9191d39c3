import type { CaptionerIds, ConfigFile } from '#contracts/caption-model.ts'

/** BLIP's own where its config does not say: [DEC] begins a caption, [SEP] ends it. */
const blipTokens = { start: 30522, end: 102 }

/** The tokens that begin and end a caption; null where nothing says. */
export function endTokens(config: ConfigFile, generation: ConfigFile | null): { start: number; ends: number[] } | null {
  if (config.model_type === 'blip') {
    const text = config.text_config
    return { start: text?.bos_token_id ?? blipTokens.start, ends: [text?.sep_token_id ?? blipTokens.end] }
  }
  const places = [generation, config, config.decoder, config.text_config]
  const first = <T>(read: (place: CaptionerIds) => T | null | undefined): T | null =>
    places.map((place) => (place ? read(place) : null)).find((value) => value !== null && value !== undefined) ?? null
  const start = first((place) => place.decoder_start_token_id) ?? first((place) => place.bos_token_id)
  const end = first((place) => place.eos_token_id)
  return start === null || end === null ? null : { start, ends: [end].flat() }
}

/** How many vectors the encoder gives of a picture: one a patch and one for the whole; null where nothing says. */
export function encodedLength(config: ConfigFile, width: number, height: number): number | null {
  const patch = (config.vision_config ?? config.encoder)?.patch_size
  return patch ? Math.floor(width / patch) * Math.floor(height / patch) + 1 : null
}
