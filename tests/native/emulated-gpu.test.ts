import { beforeAll, describe, expect, test } from 'vitest'
import { checkKernels } from '#engine/self-test.ts'
import { openRuntime } from '#native-ops/load.ts'
import { buildEmulatedGpu, noEmulatedGpu, openEmulatedGpu } from '#tests/support/emulated-gpu.ts'

// What a kernel computes does not depend on the chip, but how its work is cut does: many spans of a sequence or one, tensor cores or none.
const chips = [
  { name: 'a large GPU', processors: 132, capability: 90, dtypes: ['f32', 'f16', 'bf16'] },
  { name: 'a small GPU', processors: 1, capability: 90, dtypes: ['f32', 'bf16'] },
  { name: 'a GPU without tensor cores for bfloat16', processors: 40, capability: 75, dtypes: ['f16'] },
] as const

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
})
