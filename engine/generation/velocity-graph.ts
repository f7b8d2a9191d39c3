import type { Recipe } from '#contracts/recipe.ts'
import { GraphBuilder, type Precision } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'
import { zigma } from '../models/zigma/zigma.ts'
import { encodeText } from '../text/text-encoder.ts'

/** Inputs that stay the same through a drawing: what depends on them and on weights alone is computed once. */
export const promptInputs: ReadonlySet<string> = new Set(['ids', 'text'])

/**
 * The velocity of `batchSize` pictures: inputs `image` [B, C, H, W] and `t` [B], output `velocity`. Guided, of all with their prompts and once more
 * with the negative prompt: [2B, C, H, W]. With text also `ids` int32 [rows, tokens], or features `text` where the recipe has no encoder of its own.
 */
export function velocityGraph(
  { model, textEncoder }: Recipe,
  { batchSize, guided, ...precision }: { batchSize: number; guided: boolean } & Precision,
): GraphBuilder {
  const g = new GraphBuilder('f32', precision)
  const image = g.input('image', [batchSize, model.channels, model.height, model.width])
  const t = g.input('t', [batchSize])
  const rows = guided ? 2 * batchSize : batchSize
  const twice = (x: Value) => (guided ? g.concat([x, x], 0) : x)
  let condition: Value | null = null
  if (textEncoder) condition = encodeText(g, textEncoder, g.input('ids', [rows, textEncoder.tokens], 'i32'))
  else if (model.condition.kind === 'text') condition = g.input('text', [rows, model.condition.contextTokens, model.condition.contextDim])
  else if (model.condition.kind === 'class') condition = g.input('class', [rows], 'i32')
  g.output('velocity', zigma(g, model, { image: twice(image), t: twice(t), condition }))
  return g
}
