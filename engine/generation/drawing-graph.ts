import type { Recipe } from '#contracts/recipe.ts'
import { GraphBuilder, type Precision } from '../graph/graph-builder.ts'
import type { Value } from '../graph/value.ts'
import { stagesOf, type Stages } from '../lowering/stages.ts'
import { zigma } from '../models/zigma/zigma.ts'
import { guide } from '../samplers/guidance.ts'
import { encodeText } from '../text/text-encoder.ts'

/** Inputs that stay the same through a drawing: what depends on them and on weights alone is computed once. */
const promptInputs: ReadonlySet<string> = new Set(['ids', 'text'])

export interface DrawingSize {
  batchSize: number
  /** Whether the network draws everything once more for the negative prompt. */
  guided: boolean
}

/** Rows of so many evaluations together are computed in hardly more time than it takes to read the weights. */
const mostRows = 256
/** Everything is prepared anew for the next evaluations: with fewer at once that would take longer than it saves. */
const leastAhead = 32

/** For so many evaluations of a drawing what depends on their times is prepared at once; 1: not at all. Most drawings have no more. */
export function evaluationsAhead(size: DrawingSize): number {
  const most = Math.floor(mostRows / rowsOf(size))
  return most < leastAhead ? 1 : most
}

/**
 * One evaluation of the network within a drawing, and the move that it makes (see `Evaluation`). Inputs: `pictures` [2, B, C, H, W], those that the network
 * sees and those that the move starts from; `t` [rows]; `evaluation` [1], its number among those of `moves` [evaluations, 2], which hold `ahead` and
 * `advance`. Outputs `next/pictures` and `next/evaluation` may be the memory of the inputs: every other reader is done before they are written.
 *
 * Rows are B, or guided 2B: all pictures with their prompts, then all with the negative one, at the strength of `cfgScale` [1]. With text also `ids` int32
 * [rows, tokens], or features `text` where the recipe has no encoder of its own.
 */
export function drawingGraph({ model, textEncoder }: Recipe, { batchSize, guided, ...precision }: DrawingSize & Precision): GraphBuilder {
  const g = new GraphBuilder('f32', precision)
  const rows = rowsOf({ batchSize, guided })
  const shape = [batchSize, model.channels, model.height, model.width]
  const [seen, start] = g.split(g.input('pictures', [2, ...shape]), 0, [1, 1]).map((half) => g.reshape(half, shape)) as [Value, Value]
  const t = g.input('t', [rows])
  let condition: Value | null = null
  if (textEncoder) condition = encodeText(g, textEncoder, g.input('ids', [rows, textEncoder.tokens], 'i32'))
  else if (model.condition.kind === 'text') condition = g.input('text', [rows, model.condition.contextTokens, model.condition.contextDim])
  else if (model.condition.kind === 'class') condition = g.input('class', [rows], 'i32')
  const predicted = zigma(g, model, { image: guided ? g.concat([seen, seen], 0) : seen, t, condition })
  const velocity = guided ? guide(g, predicted, g.input('cfgScale', [1])) : predicted

  const evaluation = g.input('evaluation', [1])
  const evaluations = evaluationsAhead({ batchSize, guided })
  const moves = g.gather(g.input('moves', [evaluations, 2]), g.cast(evaluation, 'i32'))
  const moved = g.add(start, g.mul(g.reshape(moves, [2, 1, 1, 1, 1]), velocity))
  g.output('next/pictures', moved)
  g.output('next/evaluation', g.add(g.after(evaluation, [moved]), g.floats([evaluations > 1 ? 1 : 0], [1]))) // one alone is always number 0
  return g
}

export function drawingStages(recipe: Recipe, size: DrawingSize & Precision): Stages {
  return stagesOf(drawingGraph(recipe, size), promptInputs, evaluationsAhead(size))
}

function rowsOf({ batchSize, guided }: DrawingSize): number {
  return guided ? 2 * batchSize : batchSize
}
