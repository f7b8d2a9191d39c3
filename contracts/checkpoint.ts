import { z } from 'zod'
import { recipe } from './recipe.ts'

/** What a tokenizer learned; stored with every checkpoint. */
export const tokenizerModel = z.object({
  kind: z.literal('bpe'),
  /** Pieces by id. 0 is padding and the empty prompt, 1 stands for letters never seen. */
  vocabulary: z.array(z.string()).readonly(),
  /** Pairs of pieces in the order in which they are joined. */
  merges: z.array(z.tuple([z.string(), z.string()]).readonly()).readonly(),
})
export type TokenizerModel = z.infer<typeof tokenizerModel>

/** state.json of a checkpoint: all that training is, beside data and weights. Random numbers are counter-based, so there is no other state. */
export const checkpointState = z.object({
  schema: z.literal(1),
  step: z.number().int().nonnegative(),
  recipe,
  snapshot: z.string(),
  tokenizer: tokenizerModel.nullable(),
  /** Version of the engine that wrote it. */
  engine: z.string(),
})
export type CheckpointState = z.infer<typeof checkpointState>
