import { checkpointState, type CheckpointState } from '#contracts/checkpoint.ts'
import { StudioError } from '#contracts/errors.ts'
import { isScaling } from '../optim/loss-scaling.ts'
import { trainedCopies, copyName } from '../optim/train-step.ts'
import { readSafetensors, writeSafetensors, type StoredTensor } from './safetensors.ts'
import { loadFloats, storeFloats } from './tensor-bytes.ts'

export interface TrainingState extends Omit<CheckpointState, 'schema'> {
  /** Weights under their own names, and their copies under `m/`, `v/` and `ema/`; what scales the loss under `scaling/`. */
  tensors: ReadonlyMap<string, { values: Float32Array; shape: readonly number[] }>
}

const files = { weights: 'weights.safetensors', ema: 'ema.safetensors', optimizer: 'optimizer.safetensors', state: 'state.json' } as const

/** The files of a checkpoint. Equal states give equal bytes. */
export function writeTrainingState({
  step,
  recipe: settings,
  snapshot,
  tokenizer,
  engine,
  tensors,
}: TrainingState): Map<string, Uint8Array> {
  const metadata = {
    format: 'zigma-studio',
    step: String(step),
    snapshot,
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.architecture': 'zigma',
    'modelspec.title': settings.preset ?? 'zigma',
  }
  const pack = (wanted: (name: string) => string | null): Uint8Array => {
    const packed = new Map<string, StoredTensor>()
    for (const [name, { values, shape }] of tensors) {
      const stored = wanted(name)
      if (stored !== null) packed.set(stored, storeFloats(values, shape))
    }
    return writeSafetensors({ metadata, tensors: packed })
  }
  const isCopy = (name: string) => trainedCopies.some((copy) => name.startsWith(copyName(copy, '')))
  const state = { schema: 1, step, recipe: settings, snapshot, tokenizer, engine }
  return new Map([
    [files.weights, pack((name) => (isCopy(name) || isScaling(name) ? null : name))],
    [files.ema, pack((name) => (name.startsWith('ema/') ? name.slice('ema/'.length) : null))],
    [files.optimizer, pack((name) => (name.startsWith('m/') || name.startsWith('v/') || isScaling(name) ? name : null))],
    [files.state, new TextEncoder().encode(JSON.stringify(state, null, 1))],
  ])
}

/** @throws StudioError corrupt-file when a file is missing or not of the form. */
export function readTrainingState(stored: ReadonlyMap<string, Uint8Array>): TrainingState {
  const bytes = (name: string): Uint8Array => {
    const file = stored.get(name)
    if (!file) throw new StudioError('corrupt-file', `The checkpoint has no file "${name}". Resume from an earlier checkpoint.`)
    return file
  }
  const tensors = new Map([
    ...readTensors(bytes(files.weights), files.weights),
    ...[...readTensors(bytes(files.ema), files.ema)].map(([name, tensor]) => [copyName('ema', name), tensor] as const),
    ...readTensors(bytes(files.optimizer), files.optimizer),
  ])
  return { ...readState(bytes(files.state)), tensors }
}

/** What drawing needs of a checkpoint: one set of weights, without the optimizer. */
export function readDrawingWeights(stored: ReadonlyMap<string, Uint8Array>, which: 'ema' | 'raw'): TrainingState {
  const name = which === 'ema' ? files.ema : files.weights
  const [file, state] = [stored.get(name), stored.get(files.state)]
  if (!file || !state)
    throw new StudioError('corrupt-file', `The checkpoint has no file "${file ? files.state : name}". Choose another checkpoint.`)
  return { ...readState(state), tensors: readTensors(file, name) }
}

function readTensors(bytes: Uint8Array, file: string): TrainingState['tensors'] {
  return new Map(
    [...readSafetensors(bytes, file).tensors].map(([name, tensor]) => [name, { values: loadFloats(tensor), shape: tensor.shape }]),
  )
}

function readState(bytes: Uint8Array): Omit<TrainingState, 'tensors'> {
  try {
    return checkpointState.parse(JSON.parse(new TextDecoder().decode(bytes)))
  } catch (cause) {
    throw new StudioError('corrupt-file', "The checkpoint's state.json is not of the expected form. Resume from an earlier checkpoint.", {
      cause,
    })
  }
}
