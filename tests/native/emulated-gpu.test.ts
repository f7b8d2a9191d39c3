import { beforeAll, describe, expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { presets } from '#engine/presets.ts'
import { normal, uniform } from '#engine/random/philox.ts'
import { relativeError } from '#engine/relative-error.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import type { NativeRuntime } from '#engine/runtime/native.ts'
import { checkKernels } from '#engine/self-test.ts'
import { Trainer } from '#engine/training/trainer.ts'
import { openRuntime } from '#native-ops/load.ts'
import { numbers } from '#tests/support/differences.ts'
import { drawnOn } from '#tests/support/drawn-on.ts'
import { buildEmulatedGpu, noEmulatedGpu, openEmulatedGpu } from '#tests/support/emulated-gpu.ts'
import { differing, gradedCases, gradientsOf } from '#tests/support/overwritten.ts'

// What a kernel computes does not depend on the chip, but how its work is cut does: many spans of a sequence or one, tensor cores or none, blocks of four warps
// or, where shared memory has no room for them, of one.
const chips = [
  { name: 'a large GPU', processors: 132, capability: 90, dtypes: ['f32', 'f16', 'bf16'] },
  { name: 'a small GPU', processors: 1, capability: 90, dtypes: ['f32', 'bf16'] },
  { name: 'a GPU of four multiprocessors', processors: 4, capability: 90, dtypes: ['bf16'] },
  {
    name: 'a GPU without tensor cores for bfloat16, and with little shared memory',
    processors: 40,
    capability: 75,
    dtypes: ['f16', 'f32'],
  },
] as const

const largeChip = chips[0]

describe('the CUDA kernels, their threads in an order drawn at random', () => {
  beforeAll(async () => {
    if (noEmulatedGpu === null) await buildEmulatedGpu()
  }, 600_000)

  test.for(chips)(
    'agree with the double-precision reference on $name',
    { timeout: 300_000 },
    async ({ processors, capability, dtypes }, { skip }) => {
      if (noEmulatedGpu !== null) skip(noEmulatedGpu)
      const seed = Math.floor(Math.random() * 2 ** 31)
      const checks = await checkKernels(openRuntime(), openEmulatedGpu({ processors, capability }), { dtypes, seed })
      expect({ seed, wrong: checks.filter(({ passes }) => !passes) }).toEqual({ seed, wrong: [] })
      expect(checks.length).toBeGreaterThanOrEqual(16 * dtypes.length)
    },
  )

  test.for(chips)(
    'write gradients over what they are made of as they do apart from it, on $name',
    { timeout: 300_000 },
    async (chip, { skip }) => {
      if (noEmulatedGpu !== null) skip(noEmulatedGpu)
      const gpu = openEmulatedGpu(chip)
      for (const one of gradedCases) {
        for (const dtype of chip.dtypes) {
          const [over, apart] = [await gradientsOf(gpu, one, dtype, false), await gradientsOf(gpu, one, dtype, true)]
          expect([one.name, dtype, differing(over, apart)]).toEqual([one.name, dtype, []])
          expect(over.takenBytes).toBeLessThan(apart.takenBytes)
        }
      }
    },
  )

  test.for(['uniform', 'normal'] as const)('draw the same %s bits as every other device', async (distribution, { skip }) => {
    if (noEmulatedGpu !== null) skip(noEmulatedGpu)
    const counter = { seed: 9007199254740881, stream: 5, step: 123456, sample: 7 }
    expect(await drawnOn(openEmulatedGpu(largeChip), 4099, distribution, counter)).toEqual(
      (distribution === 'uniform' ? uniform : normal)(4099, counter),
    )
  })

  test.for([-1, 9])('refuse steps of rank %i where rows have 8 columns', async (rank, { skip }) => {
    if (noEmulatedGpu !== null) skip(noEmulatedGpu)
    const g = new GraphBuilder('f32')
    const [low, weight] = [g.input('low', [1, 4, 8]), g.input('weight', [32, 8])]
    g.output('steps', g.node('TimeSteps', [low, weight, null], { softplus: 1, rank }, [[[1, 4, 32], 'f32']])[0]!)
    const feeds = { low: new Float32Array(4 * 8), weight: new Float32Array(32 * 8) }
    await expect(evaluate(openEmulatedGpu(largeChip), g, feeds)).rejects.toThrow(
      `TimeSteps: rank is ${rank}; it must be 0 to 8, the columns of the weight.`,
    )
  })

  // With 2 states B and C are read as columns of wider rows, with 16 they are cut out.
  test.for([16, 2])(
    'train as the kernels of the processor do, but for rounding: %i states',
    { timeout: 300_000 },
    async (states, { skip }) => {
      if (noEmulatedGpu !== null) skip(noEmulatedGpu)
      const [expected, actual] = [await trained(openRuntime(), states), await trained(openEmulatedGpu(largeChip), states)]
      expect(actual.losses.map((loss, i) => loss / expected.losses[i]!)).toEqual(expected.losses.map((): unknown => expect.closeTo(1, 5)))
      // Adding one number to all scores of a row changes no weight: the gradient of a key's bias is rounding alone.
      const trainedNames = [...expected.state.keys()].filter((name) => !name.endsWith('to_k.bias'))
      const errors = trainedNames.map(
        (name) => [name, relativeError(actual.state.get(name)!.values, expected.state.get(name)!.values)] as const,
      )
      expect(errors.filter(([, error]) => !(error < 1e-3))).toEqual([])
    },
  )
})

/** Three steps of a small network with text, from the same weights on the same pictures. */
async function trained(runtime: NativeRuntime, stateDim: number) {
  const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
  const model = { ...tiny.model, embedDim: 32, stateDim, depth: 2, height: 16, width: 16, dropPath: 0.2 }
  using trainer = await Trainer.create(runtime, { ...tiny, seed: 7, batchSize: 2, model }, null)
  const losses: number[] = []
  for (let step = 1; step <= 3; step++) {
    const images = Uint8Array.from(numbers(2 * 3 * 16 * 16, { seed: step, low: 0, high: 256 }))
    const ids = Int32Array.from(numbers(2 * tiny.textEncoder!.tokens, { seed: step, low: 0, high: 60 }), Math.floor)
    losses.push((await trainer.step(step, { images, ids })).loss)
  }
  return { losses, state: trainer.capture() }
}
