import { recipe, type Condition, type ModelSpec, type Preset, type Recipe } from '#contracts/recipe.ts'

type RecipeInput = Parameters<typeof recipe.parse>[0]
const complete = (input: RecipeInput): Recipe => recipe.parse(input)

const samplePrompts = ['red apple', 'yellow star', 'blue heart', 'grinning face', 'green leaf', 'black cat']

/** A text-conditioned model on pixels, with its own caption encoder. */
function pixelModel(
  size: number,
  {
    patchSize,
    embedDim,
    depth,
    heads,
    headDim,
    textDim,
    tokens,
  }: { patchSize: number; embedDim: number; depth: number; heads: number; headDim: number; textDim: number; tokens: number },
): Pick<Recipe, 'model'> {
  const condition: Condition = { kind: 'text', contextDim: textDim, contextTokens: tokens, heads, headDim }
  const model: ModelSpec = {
    kind: 'zigma',
    height: size,
    width: size,
    channels: 3,
    patchSize,
    embedDim,
    depth,
    stateDim: 16,
    expand: 2,
    convWidth: 4,
    scan: { kind: 'zigzag', count: 8 },
    positionEmbedding: 2,
    norm: 'rms',
    condition,
    dropPath: 0,
  }
  return { model }
}

const tiny = complete({
  schema: 1,
  preset: 'tiny',
  ...pixelModel(32, { patchSize: 4, embedDim: 128, depth: 8, heads: 4, headDim: 32, textDim: 96, tokens: 12 }),
  textEncoder: { kind: 'trained', vocabularySize: 1024, dim: 96, depth: 1, heads: 4, tokens: 12 },
  batchSize: 32,
  steps: 5000,
  optimizer: { learningRate: 1e-3, warmupSteps: 50, schedule: 'cosine', emaDecay: 0.995, clipNorm: 1 },
  checkpointEvery: 250,
  validateEvery: 250,
  sampleEvery: 500,
  samplePrompts,
})

const small = complete({
  schema: 1,
  preset: 'small',
  ...pixelModel(64, { patchSize: 4, embedDim: 384, depth: 12, heads: 8, headDim: 48, textDim: 256, tokens: 16 }),
  textEncoder: { kind: 'trained', vocabularySize: 2048, dim: 256, depth: 2, heads: 4, tokens: 16 },
  batchSize: 64,
  steps: 40_000,
  optimizer: { learningRate: 4e-4, warmupSteps: 500, schedule: 'cosine', emaDecay: 0.999, clipNorm: 1 },
  checkpointEvery: 1000,
  validateEvery: 500,
  sampleEvery: 1000,
  samplePrompts,
})

/** Four times the tokens of `small` in a run of minutes: each picture counts for more, and is seen less often. */
const fine = complete({
  schema: 1,
  preset: 'fine',
  ...pixelModel(64, { patchSize: 2, embedDim: 384, depth: 12, heads: 8, headDim: 48, textDim: 256, tokens: 16 }),
  textEncoder: { kind: 'trained', vocabularySize: 2048, dim: 256, depth: 2, heads: 4, tokens: 16 },
  batchSize: 64,
  steps: 6000,
  optimizer: { learningRate: 4e-4, warmupSteps: 250, schedule: 'cosine', emaDecay: 0.998, clipNorm: 1 },
  checkpointEvery: 1000,
  validateEvery: 250,
  sampleEvery: 500,
  samplePrompts,
})

/** The official configurations for images (spec table 1.10): latents of a fourfold-channel, eightfold-smaller autoencoder space, but for the read-me's. */
function official(name: string, model: Partial<ModelSpec> & Pick<ModelSpec, 'height' | 'width'>): Recipe {
  return complete({
    schema: 1,
    preset: name,
    model: {
      kind: 'zigma',
      channels: 4,
      patchSize: 1,
      embedDim: 768,
      depth: 24,
      scan: { kind: 'zigzag', count: 8 },
      positionEmbedding: 2,
      condition: { kind: 'none' },
      dropPath: 0.1,
      ...model,
    },
    textEncoder: null,
    batchSize: 20,
    steps: 400_000,
    optimizer: { learningRate: 1e-4, emaDecay: 0.9999, clipNorm: 2 },
    checkpointEvery: 10_000,
    validateEvery: 5000,
    sampleEvery: 10_000,
  })
}

const text = (contextDim: number): Condition => ({ kind: 'text', contextDim, contextTokens: 77, heads: 8, headDim: 64 })

export const presets: readonly Preset[] = [
  { name: 'tiny', describes: 'preset.tiny', device: 'cpu', recipe: tiny },
  { name: 'small', describes: 'preset.small', device: 'gpu', recipe: small },
  { name: 'fine', describes: 'preset.fine', device: 'gpu', recipe: fine },
  {
    name: 's1024_zigzag8_b2_old',
    describes: 'preset.official1024',
    device: 'gpu',
    recipe: official('s1024_zigzag8_b2_old', { height: 128, width: 128, patchSize: 2, positionEmbedding: 0 }),
  },
  { name: 'zigzag8_b1_pe2', describes: 'preset.official256', device: 'gpu', recipe: official('zigzag8_b1_pe2', { height: 32, width: 32 }) },
  {
    name: 'zigzag8_b1_pe2_text',
    describes: 'preset.official256Text',
    device: 'gpu',
    recipe: official('zigzag8_b1_pe2_text', { height: 32, width: 32, condition: text(768) }),
  },
  {
    name: 'sweep2_b1_pe2',
    describes: 'preset.sweep2',
    device: 'gpu',
    recipe: official('sweep2_b1_pe2', { height: 32, width: 32, scan: { kind: 'bidirectional', count: 1 } }),
  },
  {
    name: 'readme_demo',
    describes: 'preset.officialDemo',
    device: 'gpu',
    recipe: official('readme_demo', { height: 32, width: 32, channels: 3, embedDim: 640, depth: 18, condition: text(768) }),
  },
]
