import { expect, test } from 'vitest'
import { checkKernels } from '#engine/self-test.ts'
import { openRuntime } from '#native-ops/load.ts'
import { differing, gradedCases, gradientsOf } from '#tests/support/overwritten.ts'

test('every operation and its gradient agree with the double-precision reference in every type, on numbers never drawn before', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const checks = await checkKernels(openRuntime(), openRuntime({ device: 'cuda' }), { dtypes: ['f32', 'f16', 'bf16'], seed })
  expect({ seed, wrong: checks.filter(({ passes }) => !passes) }).toEqual({ seed, wrong: [] })
  expect(checks.length).toBeGreaterThan(40)
}, 300_000)

test('scans that are cut into long spans, and their gradients, agree with it too', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const checks = await checkKernels(openRuntime(), openRuntime({ device: 'cuda' }), { dtypes: ['bf16'], seed, long: true })
  expect({ seed, wrong: checks.filter(({ passes }) => !passes) }).toEqual({ seed, wrong: [] })
}, 300_000)

test('gradients written over what they are made of have the bits that they have apart from it', async () => {
  const gpu = openRuntime({ device: 'cuda' })
  for (const one of gradedCases) {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const [over, apart] = [await gradientsOf(gpu, one, dtype, false), await gradientsOf(gpu, one, dtype, true)]
      expect([one.name, dtype, differing(over, apart)]).toEqual([one.name, dtype, []])
      expect(over.takenBytes).toBeLessThan(apart.takenBytes)
    }
  }
}, 300_000)
