import type { Recipe } from '#contracts/recipe.ts'
import { philox } from '../graph/fused.ts'
import { GraphBuilder, type Precision } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'
import { linearPath, meanSquare } from '../interpolant/loss.ts'
import { zigma } from '../models/zigma/zigma.ts'
import { streams } from '../random/philox.ts'
import { encodeText } from '../text/text-encoder.ts'

/** How pictures are handed in: as bytes [B, H, W, C], as a data set keeps them, or as values [B, C, H, W], pictures in [-1, 1]. */
export type PictureForm = 'bytes' | 'values'

/** The form in which the examples of a recipe come: latents have no bytes. */
export function pictureForm({ autoencoder }: Pick<Recipe, 'autoencoder'>): PictureForm {
  return autoencoder ? 'values' : 'bytes'
}

/**
 * The velocity loss of one batch (spec 3.2), with its noise, times and dropped conditions drawn in the graph. Inputs: `images`
 * in their form, with text `ids` int32 [B, tokens], or features `text` [B, tokens, dim] where the recipe has no encoder of its own, and the counters `seed`, `step` int64 [1], `sample` int64 [B].
 * `training` switches on condition dropout and stochastic depth.
 */
export function lossGraph(
  recipe: Recipe,
  batchSize: number,
  { training, pictures = 'values', ...precision }: { training: boolean; pictures?: PictureForm } & Precision,
): { graph: GraphBuilder; loss: Value } {
  const { model } = recipe
  const g = new GraphBuilder('f32', precision)
  const { channels, height, width } = model
  const data =
    pictures === 'values'
      ? g.input('images', [batchSize, channels, height, width])
      : valuesOf(g, g.input('images', [batchSize, height, width, channels], 'u8'))
  const counter = { seed: g.input('seed', [1], 'i64'), step: g.input('step', [1], 'i64'), sample: g.input('sample', [batchSize], 'i64') }
  const uniform = (size: number, stream: number) => philox(g, counter, { shape: [size], distribution: 'uniform', stream })

  const noise = philox(g, counter, { shape: data.shape.slice(1), distribution: 'normal', stream: streams.noise })
  const t = g.reshape(uniform(1, streams.time), [batchSize])
  const { point, velocity } = linearPath(g, { data, noise, t })

  let condition: Value | null = null
  if (recipe.textEncoder) {
    let ids = g.input('ids', [batchSize, recipe.textEncoder.tokens], 'i32')
    if (training && recipe.conditionDropout > 0) {
      ids = g.where(g.less(uniform(1, streams.conditionDropout), g.scalar(recipe.conditionDropout)), g.ints([0], [1, 1]), ids)
    }
    condition = encodeText(g, recipe.textEncoder, ids)
  } else if (model.condition.kind === 'text') {
    condition = g.input('text', [batchSize, model.condition.contextTokens, model.condition.contextDim])
  }
  if (model.condition.kind === 'class') condition = g.input('class', [batchSize], 'i32')
  const keep = training && model.dropPath > 0 ? stochasticDepth(g, recipe, uniform(model.depth, streams.dropPath)) : () => null
  const loss = meanSquare(g, zigma(g, model, { image: point, t, condition, keep }), velocity)
  return { graph: g, loss }
}

/** Bytes [B, H, W, C] -> values in [-1, 1], [B, C, H, W]. */
function valuesOf(g: GraphBuilder, bytes: Value): Value {
  return g.sub(g.div(g.transpose(g.cast(bytes, g.float), [0, 3, 1, 2]), g.scalar(127.5)), g.scalar(1))
}

/**
 * Layer i = 1..depth is dropped with probability dropPath (i - 1) / (depth - 1), the last one being the final norm's (spec 1.5). The factors of all
 * layers are computed side by side.
 */
function stochasticDepth(g: GraphBuilder, { model: { depth, dropPath } }: Recipe, u: Value): (layer: number) => Value {
  const rates = Array.from({ length: depth }, (_, i) => (depth > 1 ? (dropPath * i) / (depth - 1) : 0))
  const side = (values: number[]) => g.floats(values, [1, depth])
  const factors = g.where(g.less(u, side(rates)), g.scalar(0), side(rates.map((rate) => 1 / (1 - rate))))
  const perLayer = g.columns(factors)
  return (layer) => perLayer[layer - 1]!
}
