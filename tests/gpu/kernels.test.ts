import { expect, test } from 'vitest'
import { checkKernels } from '#engine/self-test.ts'
import { openRuntime } from '#native-ops/load.ts'

test('every operation and its gradient agree with the double-precision reference in every type, on numbers never drawn before', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const checks = await checkKernels(openRuntime(), openRuntime({ device: 'cuda' }), { dtypes: ['f32', 'f16', 'bf16'], seed })
  expect({ seed, wrong: checks.filter(({ passes }) => !passes) }).toEqual({ seed, wrong: [] })
  expect(checks.length).toBeGreaterThan(40)
}, 300_000)
