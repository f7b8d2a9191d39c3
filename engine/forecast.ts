import type { Forecast, Recipe } from '#contracts/recipe.ts'
import { drawingGraph } from './generation/drawing-graph.ts'
import { sizeOf } from './graph/shape.ts'
import { elementBytes, type Graph, type Value } from './graph/value.ts'
import { planMemory } from './lowering/memory-plan.ts'
import { trainedCopies } from './optim/train-step.ts'
import { shadowsOf } from './optim/trained.ts'
import { precisionOf } from './runtime/precision.ts'
import { lossGraph, pictureForm } from './training/loss-graph.ts'
import { divisors, microBatchOf, trainGraph } from './training/train-graph.ts'
import { validationBatch } from './training/validation.ts'

/** Where a recipe is to be trained. */
export interface Place {
  device: 'cpu' | 'cuda'
  /** Memory of the device, null where it is not known. */
  totalBytes: number | null
}

/** What a GPU's driver, its libraries and a recorded graph hold beside tensors: 0.3 to 0.4 GiB on every configuration measured. */
const gpuBytes = 0.35 * 2 ** 30
/** Share of a device's memory that others may be using: a screen, a browser. */
const headroom = 0.03

/** What a recipe costs at a place: its parameters, its tokens a picture, its memory, and what to change where that is too much. */
export function forecastOf(recipe: Recipe, place: Place = { device: 'cpu', totalBytes: null }): Forecast {
  const { memoryBytes, parameters } = trainingMemory(recipe, place.device)
  const tooMuch = place.totalBytes !== null && memoryBytes > place.totalBytes * (1 - headroom)
  return {
    parameters,
    tokens: tokensOf(recipe),
    memoryBytes,
    deviceBytes: place.totalBytes,
    advice: tooMuch ? fit(recipe, place) : null,
    secondsPerStep: null,
  }
}

/**
 * The fastest settings of a recipe that fit into a place, with the same results: what is computed again and how many pictures are in memory at once.
 * Null when not even one picture fits.
 */
export function fit(recipe: Recipe, { device, totalBytes }: Place): Forecast['advice'] {
  const room = (totalBytes ?? Infinity) * (1 - headroom)
  const policies = ['speed', 'balanced', 'memory'] as const
  const tried = policies
    .flatMap((recompute, order) => divisors(recipe.batchSize).map((size) => ({ recompute, order, size })))
    .sort((a, b) => slowness(recipe, device, a) - slowness(recipe, device, b))
  const failed: typeof tried = []
  for (const one of tried) {
    if (failed.some(({ order, size }) => order >= one.order && size <= one.size)) continue // it takes more than one that was too much
    const microBatch = one.size === recipe.batchSize ? null : one.size
    const { memoryBytes } = trainingMemory({ ...recipe, recompute: one.recompute, microBatch }, device)
    if (memoryBytes <= room) return { recompute: one.recompute, microBatch, memoryBytes }
    failed.push(one)
  }
  return null
}

/** Time of a step over that of the whole batch with everything kept, as far as it was measured on one GPU: small pieces leave it idle. */
function slowness(recipe: Recipe, device: Place['device'], { recompute, size }: { recompute: Recipe['recompute']; size: number }): number {
  const again = { speed: 1, balanced: 1.2, memory: 1.3 }[recompute]
  const idleTokens = device === 'cuda' ? 3200 : 100
  return again * (1 + idleTokens / (size * tokensOf(recipe)))
}

/** The most memory of a device that a training holds: weights and their copies, a step, and what validates and draws beside it. */
function trainingMemory(recipe: Recipe, device: Place['device']): Pick<Forecast, 'memoryBytes' | 'parameters'> {
  const precision = precisionOf({ device }, recipe)
  const graph = trainGraph(recipe, precision)
  const programs = [
    lossGraph(recipe, Math.min(validationBatch, recipe.batchSize), { training: false, pictures: pictureForm(recipe), ...precision }).graph,
  ]
  const prompts = recipe.samplePrompts.length
  if (prompts > 0) programs.push(drawingGraph(recipe, { batchSize: prompts, guided: recipe.textEncoder !== null, ...precision }))
  const running = programs.reduce((sum, program) => sum + runBytes(program, device), 0)
  return { parameters: numbers(graph.parameters.values()), memoryBytes: stepBytes(recipe, graph, device) + running }
}

/** What training steps alone hold: weights and their copies, and what a step takes beside them. `graph` is what runs for every step. */
export function stepBytes(recipe: Recipe, graph: Graph, device: Place['device']): number {
  const copies = 1 + trainedCopies.length + Number(microBatchOf(recipe) < recipe.batchSize)
  const shadowBytes = [...shadowsOf(graph).values()].reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * elementBytes[dtype], 0)
  const weightBytes = copies * elementBytes.f32 * numbers(graph.parameters.values()) + shadowBytes
  return weightBytes + runBytes(graph, device) + (device === 'cuda' ? gpuBytes : 0)
}

/** What a program takes beside its inputs and outputs. A processor's arena takes more than it touches. */
export function runBytes(graph: Graph, device: Place['device']): number {
  const plan = planMemory(graph, device === 'cuda' ? 'as-wanted' : 'doubling')
  return device === 'cuda' ? plan.reservedBytes : plan.peakBytes
}

const numbers = (values: Iterable<Value>): number => [...values].reduce((sum, { shape }) => sum + sizeOf(shape), 0)
const tokensOf = ({ model }: Recipe): number => (model.height / model.patchSize) * (model.width / model.patchSize)
