import { expect, test } from 'vitest'
import { openRuntime } from '#native-ops/load.ts'
import { differing, gradedCases, gradientsOf } from '#tests/support/overwritten.ts'

const runtime = openRuntime({ threads: 2 })

test.each(gradedCases)('gradients written over what they are made of have the bits that they have apart from it: $name', async (one) => {
  for (const dtype of ['f32', 'f64'] as const) {
    const [over, apart] = [await gradientsOf(runtime, one, dtype, false), await gradientsOf(runtime, one, dtype, true)]
    expect(differing(over, apart)).toEqual([])
    expect(over.takenBytes).toBeLessThan(apart.takenBytes)
  }
})

test.each(gradedCases)('what ONNX Runtime takes when it overwrites is foretold: $name', async (one) => {
  const { takenBytes, foretoldBytes } = await gradientsOf(runtime, one, 'f32', false)
  expect(takenBytes / foretoldBytes).toBeCloseTo(1, 2)
})
