import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openRuntime } from '#native-ops/load.ts'
import type { Binding, DeviceTensor, Session } from '#native-ops/binding.ts'
import { additionModel, gateAddModel, longModel, pickModel } from '#tests/support/small-models.ts'
import { squares, values } from '#tests/support/squares.ts'

const runtime = openRuntime({ threads: 1 })

/** Binds tensors to a model's inputs and outputs, in the order the model names them. */
function bind(session: Session, inputs: readonly DeviceTensor[], outputs: readonly DeviceTensor[]): Binding {
  const binding = session.createBinding()
  session.inputs.forEach(({ name }, i) => {
    binding.bindInput(name, inputs[i]!)
  })
  session.outputs.forEach(({ name }, i) => {
    binding.bindOutput(name, outputs[i]!)
  })
  return binding
}

test('a model that adds gives the sum', async () => {
  const session = await runtime.createSession(additionModel(2))
  const [a, b, sum] = squares(runtime, 2, 3)
  a.write(new Float32Array([1, 2, 3, 4]))
  b.write(new Float32Array([10, 20, 30, 40]))
  await bind(session, [a, b], [sum]).run()
  expect(values(sum)).toEqual([11, 22, 33, 44])
})

test('a session names its inputs and outputs with their types and shapes', async () => {
  const session = await runtime.createSession(additionModel(2))
  expect(session.inputs).toEqual([
    { name: 'a', dtype: 'f32', shape: [2, 2] },
    { name: 'b', dtype: 'f32', shape: [2, 2] },
  ])
  expect(session.outputs).toEqual([{ name: 'sum', dtype: 'f32', shape: [2, 2] }])
})

test('a tensor bound as input and output is updated in place', async () => {
  const session = await runtime.createSession(additionModel(2))
  const [weight, step] = squares(runtime, 2, 2)
  step.write(new Float32Array([1, 2, 3, 4]))
  const binding = bind(session, [weight, step], [weight])
  for (let i = 0; i < 5; i++) await binding.run()
  expect(values(weight)).toEqual([5, 10, 15, 20])
})

test('an op of the domain zigma runs: n + gate * y', async () => {
  const session = await runtime.createSession(gateAddModel({ batch: 1, seqLen: 2, dim: 2 }))
  const arena = runtime.createArena(256)
  const n = arena.tensor(0, 'f32', [1, 2, 2])
  const gate = arena.tensor(64, 'f32', [1, 2])
  const y = arena.tensor(128, 'f32', [1, 2, 2])
  const out = arena.tensor(192, 'f32', [1, 2, 2])
  n.write(new Float32Array([1, 2, 3, 4]))
  gate.write(new Float32Array([10, 100]))
  y.write(new Float32Array([1, 1, 2, 2]))
  await bind(session, [n, gate, y], [out]).run()
  expect(values(out)).toEqual([11, 102, 23, 204])
})

test('a session without native ops refuses an op of the domain zigma', async () => {
  const model = gateAddModel({ batch: 1, seqLen: 2, dim: 2 })
  await expect(runtime.createSession(model, { customOps: false })).rejects.toMatchObject({
    message: expect.stringContaining('GateAdd') as string,
  })
})

async function longRun(count: number) {
  const session = await runtime.createSession(longModel(256, count))
  const [x, w, y] = squares(runtime, 256, 3)
  return { session, x, y, binding: bind(session, [x, w], [y]) }
}

test('a cancelled run stops early, rejects with the reason of the signal, and the next run works', async () => {
  const { binding } = await longRun(4000)
  const reason = new Error('the artist pressed stop')
  const controller = new AbortController()
  setTimeout(() => {
    controller.abort(reason)
  }, 50)
  const started = performance.now()
  await expect(binding.run(controller.signal)).rejects.toBe(reason)
  const stoppedMs = performance.now() - started
  await expect(binding.run(controller.signal)).rejects.toBe(reason)

  const short = await longRun(1)
  await expect(short.binding.run(new AbortController().signal)).resolves.toBeUndefined()
  const wholeStarted = performance.now()
  await binding.run()
  expect(stoppedMs).toBeLessThan((performance.now() - wholeStarted) / 2)
})

test('the JavaScript thread stays free during a run', async () => {
  const { binding } = await longRun(1000)
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  await binding.run()
  clearInterval(timer)
  expect(ticks).toBeGreaterThan(5)
})

test('during a run its binding and tensors are busy, and free again after it', async () => {
  const { binding, x, y } = await longRun(200)
  const running = binding.run()
  await expect(binding.run()).rejects.toMatchObject({ code: 'Busy' })
  expect(() => {
    binding.bindInput('x', x)
  }).toThrow(expect.objectContaining({ code: 'Busy' }) as Error)
  expect(() => y.read()).toThrow(expect.objectContaining({ code: 'Busy' }) as Error)
  await running
  expect(values(y)[0]).toBe(0)
})

test('two sessions run at the same time', async () => {
  const [first, second] = [await longRun(600), await longRun(600)]
  const ended: string[] = []
  const controller = new AbortController()
  const long = first.binding.run(controller.signal).then(() => ended.push('first'))
  await sleep(5)
  const short = await longRun(2)
  await short.binding.run()
  ended.push('short')
  await Promise.all([long, second.binding.run()])
  expect(ended).toEqual(['short', 'first'])
})

test('an op that fails rejects with its sentence, and the binding still works', async () => {
  const session = await runtime.createSession(pickModel(2))
  const arena = runtime.createArena(192)
  const [list, index, picked] = [arena.tensor(0, 'f32', [2]), arena.tensor(64, 'i64', [1]), arena.tensor(128, 'f32', [1])]
  list.write(new Float32Array([5, 6]))
  index.write(new BigInt64Array([7n]))
  const binding = bind(session, [list, index], [picked])
  await expect(binding.run()).rejects.toMatchObject({ code: 'ArgumentError', message: expect.stringContaining('idx=7') as string })
  index.write(new BigInt64Array([1n]))
  await binding.run()
  expect(values(picked)).toEqual([6])
})

test('an error of a promise has the stack of its caller', async () => {
  async function theCaller() {
    await runtime.createSession(new Uint8Array([1, 2, 3]))
  }
  await expect(theCaller()).rejects.toMatchObject({ code: 'ModelError', stack: expect.stringContaining('theCaller') as string })
})

test('the memory of a tensor outlives its arena, and a run everything it needs', async () => {
  const session = await runtime.createSession(longModel(64, 50))
  const arena = runtime.createArena(3 * 64 * 64 * 4)
  const [x, w, y] = [0, 1, 2].map((i) => arena.tensor(i * 64 * 64 * 4, 'f32', [64, 64])) as [DeviceTensor, DeviceTensor, DeviceTensor]
  const identity = new Float32Array(64 * 64).map((_, i) => (i % 65 === 0 ? 1 : 0))
  w.write(identity)
  x.write(identity.map((value) => value * 7))
  const binding = bind(session, [x, w], [y])
  const running = binding.run()
  arena.dispose()
  x.dispose()
  w.dispose()
  session.dispose()
  binding.dispose()
  await running
  expect(values(y).reduce((sum, value) => sum + value)).toBe(7 * 64)
})
