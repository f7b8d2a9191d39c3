import { expect, test } from 'vitest'
import { presets } from '#engine/presets.ts'
import { repeated } from '#engine/runtime/precision.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { initialParameters } from '#engine/models/initialization.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { runsUntilRecorded } from '#native-ops/binding.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { asGpu, failingRuntime } from '#tests/support/failing-runtime.ts'

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const model = { ...tiny.model, embedDim: 32, depth: 2, height: 16, width: 16 }

/** Three steps from the same weights on the same pictures: the losses, all that training keeps, and how many runs came before the first step. */
async function trained(microBatch: number, device: 'cpu' | 'cuda') {
  const recipe = { ...tiny, seed: 7, batchSize: 4, microBatch, model }
  let runs = 0
  const counted = failingRuntime(device === 'cuda' ? asGpu(runtime) : runtime, () => (runs++, null))
  const graph = trainGraph(recipe, {})
  using program = await TrainProgram.compile(counted, graph, repeated)
  const runsBefore = runs
  for (const [name, values] of initialParameters(graph, recipe.seed, model.depth)) {
    program.weights.write(name, values)
    program.copies.ema.write(name, values)
  }
  const losses: number[] = []
  for (let step = 1; step <= 3; step++) {
    const write = (piece: number) => {
      program.batch.write('seed', BigInt64Array.of(7n))
      program.batch.write('step', BigInt64Array.of(BigInt(step)))
      program.batch.write(
        'sample',
        BigInt64Array.from({ length: microBatch }, (_, i) => BigInt(piece * microBatch + i)),
      )
      program.batch.write('images', Uint8Array.from(numbers(microBatch * 3 * 16 * 16, { seed: step + piece, low: 0, high: 256 })))
      program.batch.write('ids', Int32Array.from(numbers(microBatch * tiny.textEncoder!.tokens, { seed: piece, low: 0, high: 60 })))
    }
    losses.push((await program.step({ ...recipe.optimizer, step }, { pieces: recipe.batchSize / microBatch, write })).loss)
  }
  const state = [...program.state].map(([name, tensor]) => [name, tensor.read()] as const)
  return { losses, state, runsBefore }
}

test.each([
  ['whole', 4, 1],
  ['in pieces', 2, 2],
] as const)(
  'on a GPU a step of a batch %s is recorded before there are weights, and training then goes as if it had not been',
  async (_, microBatch, programs) => {
    const [expected, recorded] = [await trained(microBatch, 'cpu'), await trained(microBatch, 'cuda')]
    expect(expected.runsBefore).toBe(0)
    expect(recorded.runsBefore).toBe(programs * runsUntilRecorded)
    expect(recorded.losses).toEqual(expected.losses)
    expect(recorded.state).toEqual(expected.state)
  },
)
