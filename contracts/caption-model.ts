import { z } from 'zod'

const side = z.number().int().min(8).max(2048)
const id = z.number().int().min(0)
const colors = z.array(z.number()).length(3)
/** Tokens and sizes of a part of a captioner. */
export const captionerIds = z.object({
  decoder_start_token_id: id.nullish(),
  bos_token_id: id.nullish(),
  eos_token_id: z.union([id, z.array(id)]).nullish(),
  sep_token_id: id.nullish(),
  vocab_size: z.number().int().positive().nullish(),
  hidden_size: z.number().int().positive().nullish(),
  n_embd: z.number().int().positive().nullish(),
})
const sight = z.object({
  image_size: side.nullish(),
  patch_size: z.number().int().positive().nullish(),
  hidden_size: z.number().int().positive().nullish(),
})

export type CaptionerIds = z.infer<typeof captionerIds>

/** What of a captioner's `config.json` and `generation_config.json` is needed. */
export const configFile = captionerIds.extend({
  model_type: z.string().nullish(),
  text_config: captionerIds.nullish(),
  decoder: captionerIds.nullish(),
  vision_config: sight.nullish(),
  encoder: sight.nullish(),
})
export type ConfigFile = z.infer<typeof configFile>

/** What of its `preprocessor_config.json` is needed. */
export const preprocessorFile = z.object({
  size: z.union([side, z.object({ height: side, width: side }), z.object({ shortest_edge: side })]).nullish(),
  crop_size: z.union([side, z.object({ height: side, width: side })]).nullish(),
  do_center_crop: z.boolean().nullish(),
  do_normalize: z.boolean().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().nullish(),
  image_mean: colors.nullish(),
  image_std: colors.nullish(),
})
export type PreprocessorFile = z.infer<typeof preprocessorFile>

/** What of a `tokenizer.json` is needed to turn tokens into words. */
export const tokenizerFile = z.object({
  added_tokens: z.array(z.object({ id: z.number().int(), content: z.string(), special: z.boolean().default(false) })).default([]),
  model: z.object({ type: z.string().nullish(), vocab: z.record(z.string(), z.number().int()) }),
  decoder: z.object({ type: z.string(), prefix: z.string().optional() }).nullish(),
})
export type TokenizerFile = z.infer<typeof tokenizerFile>
