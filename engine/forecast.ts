import type { Forecast, Recipe } from '#contracts/recipe.ts'
import { GraphBuilder } from './graph/graph-builder.ts'
import { sizeOf } from './graph/shape.ts'
import type { Value } from './graph/value.ts'
import { zigma } from './models/zigma/zigma.ts'
import { encodeText } from './text/text-encoder.ts'

const copiesOfWeights = 5 // weights, gradients, two moments, moving average
const bytesPerNumber = 4

/** What a recipe costs: its parameters, its tokens a picture, and the memory of a training step in float32. */
export function forecastOf(recipe: Recipe): Forecast {
  const { model, textEncoder, batchSize } = recipe
  const g = new GraphBuilder('f32')
  const image = g.input('image', [1, model.channels, model.height, model.width])
  const condition = conditionInput(g, recipe)
  zigma(g, model, { image, t: g.input('t', [1]), condition: textEncoder ? encodeText(g, textEncoder, condition!) : condition })
  const numbers = (values: Iterable<Value>) => [...values].reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const parameters = numbers(g.parameters.values())
  // The backward pass reads nearly every result of the forward pass, so all are alive when it begins.
  const results = numbers(g.nodes.flatMap((node) => (['Reshape', 'Split', 'Slice'].includes(node.op) ? [] : node.outputs)))
  return {
    parameters,
    tokens: (model.height / model.patchSize) * (model.width / model.patchSize),
    memoryBytes: bytesPerNumber * (copiesOfWeights * parameters + batchSize * results),
    secondsPerStep: null,
  }
}

function conditionInput(g: GraphBuilder, { model, textEncoder }: Recipe): Value | null {
  if (textEncoder) return g.input('ids', [1, textEncoder.tokens], 'i32')
  if (model.condition.kind === 'text') return g.input('text', [1, model.condition.contextTokens, model.condition.contextDim])
  return model.condition.kind === 'class' ? g.input('class', [1], 'i32') : null
}
