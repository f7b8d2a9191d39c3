import { expect, test } from 'vitest'
import { openRuntime } from '#native-ops/load.ts'
import type { DeviceTensor } from '#native-ops/binding.ts'
import { additionModel, longModel } from '#tests/support/small-models.ts'

const runtime = openRuntime({ threads: 1, opsLibrary: '' })
const values = (tensor: DeviceTensor) => [...new Float32Array(tensor.read().buffer)]

/** `count` views of shape [size, size] in an arena of their own. */
function squares(size: number, count: number): DeviceTensor[] {
  const stride = Math.ceil((size * size * 4) / 64) * 64
  const arena = runtime.createArena(stride * count)
  return Array.from({ length: count }, (_, i) => arena.tensor(i * stride, 'f32', [size, size]))
}

test('a model that adds gives the sum', async () => {
  const session = await runtime.createSession(additionModel(2))
  const [a, b, sum] = squares(2, 3) as [DeviceTensor, DeviceTensor, DeviceTensor]
  a.write(new Float32Array([1, 2, 3, 4]))
  b.write(new Float32Array([10, 20, 30, 40]))
  const binding = session.createBinding()
  binding.bindInput('a', a)
  binding.bindInput('b', b)
  binding.bindOutput('sum', sum)
  await binding.run()
  expect(values(sum)).toEqual([11, 22, 33, 44])
  expect(session.inputs).toEqual([
    { name: 'a', dtype: 'f32', shape: [2, 2] },
    { name: 'b', dtype: 'f32', shape: [2, 2] },
  ])
})

test('a tensor bound as input and output is updated in place', async () => {
  const session = await runtime.createSession(additionModel(2))
  const [weight, step] = squares(2, 2) as [DeviceTensor, DeviceTensor]
  step.write(new Float32Array([1, 2, 3, 4]))
  const binding = session.createBinding()
  binding.bindInput('a', weight)
  binding.bindInput('b', step)
  binding.bindOutput('sum', weight)
  for (let i = 0; i < 5; i++) await binding.run()
  expect(values(weight)).toEqual([5, 10, 15, 20])
})

async function longBinding(count: number) {
  const session = await runtime.createSession(longModel(256, count), { memoryPattern: false })
  const [x, w, y] = squares(256, 3) as [DeviceTensor, DeviceTensor, DeviceTensor]
  const binding = session.createBinding()
  binding.bindInput('x', x)
  binding.bindInput('w', w)
  binding.bindOutput('y', y)
  return { session, binding, x, y }
}

test('a cancelled run stops early and rejects with the reason of the signal', async () => {
  const { binding } = await longBinding(4000)
  const reason = new Error('the artist pressed stop')
  const controller = new AbortController()
  setTimeout(() => {
    controller.abort(reason)
  }, 30)
  const started = performance.now()
  await expect(binding.run(controller.signal)).rejects.toBe(reason)
  expect(performance.now() - started).toBeLessThan(1000)
  await expect(binding.run(AbortSignal.abort(reason))).rejects.toBe(reason)
})
