import type { TrainOutcome, TrainRequest } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import type { Baselines, MetricPoint } from '#contracts/studio.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { readTrainingState, writeTrainingState, type TrainingState } from '../checkpoint/training-state.ts'
import { Drawer } from '../generation/drawer.ts'
import { shown } from '../generation/shown.ts'
import type { Autoencoder } from '../autoencoder/autoencoder.ts'
import type { DatasetReader, EnginePorts } from '../ports.ts'
import { fitTokenizer, Tokenizer } from '../text/tokenizer.ts'
import { engineVersion } from '../version.ts'
import { openSpace } from './space.ts'
import { BatchReader, DataOrder, type Batch } from './batch.ts'
import type { Examples } from './examples.ts'
import type { StepResult, Trainer } from './trainer.ts'
import { microBatchOf } from './train-graph.ts'
import { TrainingSession } from './training-session.ts'
import { constantLoss, showings, trainable } from './validation.ts'

const publishEveryMs = 250
const namedItems = 4
const sampleSettings = { steps: 20, sampler: 'euler', cfgScale: 3, negativePrompt: '' } as const

/**
 * Trains a recipe to its last step, or until `signal` aborts; then the step in hand is finished and a checkpoint written. Goes on from the
 * newest good checkpoint of the run: with counter-based random numbers the continued run equals the undisturbed one bit for bit.
 *
 * @throws StudioError not-finite when gradients stop being numbers: the last good checkpoint stays.
 */
export async function train(ports: EnginePorts, runtime: NativeRuntime, request: TrainRequest, signal: AbortSignal): Promise<TrainOutcome> {
  const { recipe, runFolder, snapshot } = request
  using dataset = await ports.openDataset(request.datasetFolder, snapshot)
  refuseMisfit(recipe, dataset)
  using space = await openSpace(ports, runtime, request, dataset, signal)
  const { examples, autoencoder } = space
  const checkpoints = ports.checkpoints(runFolder)
  const stored = await checkpoints.newest()
  const resumed = stored ? readTrainingState(stored.files) : null
  if (resumed && resumed.snapshot !== snapshot) {
    throw new StudioError(
      'invalid-request',
      'The run was trained on another snapshot of the data set. Start a new run on the data set as it is now.',
    )
  }

  // Ended while pictures were encoded: what is encoded is kept, and no step was taken.
  if (signal.aborted) return { step: resumed?.step ?? 0, loss: null, finished: false }

  const tokenizer = makeTokenizer(recipe, examples, resumed)
  using session = await TrainingSession.open(runtime, recipe, { examples, tokenizer, resumed })
  const log = new RunLog(ports, request)
  await log.begin(resumed?.step ?? 0)
  const announceSmaller = (microBatch: number) => log.announce(`memory: ${microBatch}`)
  if (session.microBatch < microBatchOf(recipe)) announceSmaller(session.microBatch)
  if (!resumed) {
    log.baselines = { untrained: (await session.validation?.loss()) ?? null, constant: await constantLoss(examples) }
    await log.record({
      step: 0,
      loss: null,
      validationLoss: log.baselines.untrained,
      gradNorm: null,
      learningRate: 0,
      secondsPerStep: null,
    })
  } else log.baselines = { untrained: await log.untrained(), constant: await constantLoss(examples) }

  const save = async (step: number) => {
    log.announce('checkpoint')
    const files = writeTrainingState({
      step,
      recipe,
      snapshot,
      tokenizer: tokenizer?.model ?? null,
      engine: engineVersion,
      tensors: session.trainer.capture(),
    })
    const { hash, sizeBytes } = await checkpoints.write(step, files, recipe.keepCheckpoints)
    ports.publish('engine.checkpointed', { runFolder, step, hash, sizeBytes })
  }
  const order = new DataOrder(showings(examples), recipe.seed, recipe.batchSize)
  const reader = new BatchReader(examples, recipe.batchSize, tokenizer && { tokenizer, tokens: recipe.textEncoder!.tokens })
  const batchOf = (step: number) => reader.read(order.itemsOf(step), { seed: recipe.seed, step, flip: recipe.flip })

  let step = resumed?.step ?? 0
  let saved = step
  let loss: number | null = null
  let next = ahead(batchOf(step + 1))
  while (step < recipe.steps && !signal.aborted) {
    step++
    const startedMs = ports.now()
    const running = session.step(step, await next, announceSmaller)
    if (step < recipe.steps) next = ahead(batchOf(step + 1)) // read while the device computes
    const result = await running
    const skipped = isSkipped(result)
    if (!Number.isFinite(result.loss) || (!Number.isFinite(result.gradNorm) && !skipped)) {
      await log.flush()
      throw new StudioError(
        'not-finite',
        `Step ${step} gave a loss or gradient that is not a number; the weights of step ${saved} are kept. Its batch held ${named(order.itemsOf(step), dataset)}. Lower the learning rate (now ${recipe.optimizer.learningRate}) and resume.`,
      )
    }
    loss = result.loss
    const secondsPerStep = (ports.now() - startedMs) / 1000
    const due = (every: number) => step % every === 0 || step === recipe.steps
    const validationLoss = session.validation && due(recipe.validateEvery) ? await session.validation.loss() : null
    const { learningRate, gradNorm, lossScale } = result
    const scaling = lossScale === null ? {} : { lossScale, skipped }
    await log.record({ step, loss, learningRate, gradNorm: skipped ? null : gradNorm, validationLoss, secondsPerStep, ...scaling })
    if (recipe.samplePrompts.length > 0 && due(recipe.sampleEvery))
      await drawSamples(ports, runtime, request, { trainer: session.trainer, tokenizer, autoencoder }, step, log)
    if (due(recipe.checkpointEvery)) {
      await log.flush()
      await save(step)
      saved = step
    }
  }
  await next.catch(() => undefined) // one that was read for nothing still uses what is put away now
  await log.flush()
  if (saved !== step) await save(step)
  return { step, loss, finished: step >= recipe.steps }
}

/** Whether only scaled gradients overflowed: then a smaller factor mends it. Below 1 the gradients themselves are not finite. */
function isSkipped({ gradNorm, lossScale }: StepResult): boolean {
  return !Number.isFinite(gradNorm) && lossScale !== null && lossScale >= 1
}

/** A batch that nobody may ever ask for; who does gets it, or its error. */
function ahead(batch: Promise<Batch>): Promise<Batch> {
  batch.catch(() => undefined)
  return batch
}

/** The first items of a batch by the captions that count, and how many more. */
function named(items: readonly number[], dataset: DatasetReader): string {
  const shown = items.slice(0, namedItems).map((item) => `"${dataset.captions[item]![0] || `item ${item + 1}`}"`)
  return shown.join(', ') + (items.length > shown.length ? ` and ${items.length - shown.length} more` : '')
}

function refuseMisfit({ model, textEncoder, batchSize, autoencoder }: Recipe, dataset: DatasetReader): void {
  const refuse = (sentence: string): never => {
    throw new StudioError('invalid-request', sentence)
  }
  const side = autoencoder ? model.width * autoencoder.factor : model.width
  if (model.height !== model.width || side !== dataset.imageSize) {
    const through = autoencoder ? ` (${model.width} x ${model.height} latents of ${autoencoder.factor} pixels each)` : ''
    refuse(
      `The model is for pictures of ${side} x ${side}${through}, the data set holds ${dataset.imageSize} x ${dataset.imageSize}. Import at ${side} pixels or choose another preset.`,
    )
  }
  if (!autoencoder && model.channels !== 3)
    refuse(
      `The model is for ${model.channels} channels of an autoencoder's space, and the recipe names no autoencoder. Choose one for the project and train on latents, or choose a preset for pixels, which have 3.`,
    )
  if (autoencoder && model.channels !== autoencoder.channels)
    refuse(
      `The model is for ${model.channels} channels, and the latents of "${autoencoder.name}" have ${autoencoder.channels}. Set the model's channels to ${autoencoder.channels} or choose another autoencoder.`,
    )
  if (model.condition.kind === 'class')
    refuse('The model is for class labels, and the data set has captions. Choose a text preset or one without a condition.')
  if ((model.condition.kind === 'text') !== (textEncoder !== null))
    refuse('A text-conditioned model needs a text encoder in its recipe, and only that. Add "textEncoder" or set the condition to "none".')
  if (dataset.size === 0) refuse('The data set is empty. Import pictures first.')
  if (batchSize < 1) refuse(`A batch of ${batchSize} pictures cannot be trained. Choose at least 1.`)
}

function makeTokenizer({ textEncoder }: Recipe, examples: Examples, resumed: TrainingState | null): Tokenizer | null {
  if (!textEncoder) return null
  if (resumed?.tokenizer) return new Tokenizer(resumed.tokenizer)
  return new Tokenizer(
    fitTokenizer(
      trainable(examples).flatMap((item) => examples.captions[item]!),
      textEncoder.vocabularySize,
    ),
  )
}

async function drawSamples(
  ports: EnginePorts,
  runtime: NativeRuntime,
  { recipe, runFolder }: TrainRequest,
  { trainer, tokenizer, autoencoder }: { trainer: Trainer; tokenizer: Tokenizer | null; autoencoder: Autoencoder | null },
  step: number,
  log: RunLog,
): Promise<void> {
  log.announce('samples')
  const prompts = recipe.samplePrompts
  using drawer = await Drawer.create(runtime, recipe, trainer.averagedWeights, { tokenizer, batchSize: prompts.length, guided: true })
  const pictures = await drawer.draw(
    prompts,
    prompts.map((_, i) => recipe.seed + i),
    sampleSettings,
  )
  for (const [index, picture] of pictures.entries())
    ports.publish('engine.sampled', { runFolder, step, index, prompt: prompts[index]!, ...(await shown(picture, recipe, autoencoder)) })
}

/** Metrics on their way to the run's file and to whoever listens, in groups so that fast steps do not flood either. */
class RunLog {
  baselines: Baselines = { untrained: null, constant: null }
  readonly #ports: EnginePorts
  readonly #request: TrainRequest
  #waiting: MetricPoint[] = []
  #publishedMs = -Infinity

  constructor(ports: EnginePorts, request: TrainRequest) {
    this.#ports = ports
    this.#request = request
  }

  async begin(step: number): Promise<void> {
    await this.#ports.metrics(this.#request.runFolder).truncateAfter(step)
  }

  /** The validation loss at step 0, as the file has it. */
  async untrained(): Promise<number | null> {
    const first = (await this.#ports.metrics(this.#request.runFolder).readAll())[0]
    return first?.step === 0 ? first.validationLoss : null
  }

  async record(point: MetricPoint): Promise<void> {
    this.#waiting.push(point)
    if (this.#ports.now() - this.#publishedMs >= publishEveryMs) await this.flush()
  }

  announce(note: string): void {
    this.#publish([], note)
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return
    const points = this.#waiting
    this.#waiting = []
    this.#publishedMs = this.#ports.now()
    await this.#ports.metrics(this.#request.runFolder).append(points)
    this.#publish(points, null)
  }

  #publish(points: MetricPoint[], note: string | null): void {
    const { runFolder, recipe } = this.#request
    this.#ports.publish('engine.trained', { runFolder, points, baselines: this.baselines, totalSteps: recipe.steps, note })
  }
}
