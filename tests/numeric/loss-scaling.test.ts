import { expect, test } from 'vitest'
import type { Recipe } from '#contracts/recipe.ts'
import { readTrainingState, writeTrainingState } from '#engine/checkpoint/training-state.ts'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { initialParameters } from '#engine/models/initialization.ts'
import { firstScale, scalingState } from '#engine/optim/loss-scaling.ts'
import { trainStep, type Hyper } from '#engine/optim/train-step.ts'
import { presets } from '#engine/presets.ts'
import { evaluate } from '#engine/runtime/evaluate.ts'
import { precisionOf } from '#engine/runtime/precision.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { trainGraph } from '#engine/training/train-graph.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { emulated } from '#tests/support/half-precision.ts'

const hyper: Hyper = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
  emaDecay: 0.9,
  clipNorm: 0.5,
  step: 1,
}

/** A quarter of |w - target|², its gradient rounded to float16 where `half`. */
function quadratic(scaling: { growAfter: number } | null, half = true): GraphBuilder {
  const g = new GraphBuilder('f32', half ? { compute: 'f16' } : {})
  const w = g.parameter('w.weight', [4, 4])
  const apart = g.cast(g.computed(g.sub(w, g.input('target', [4, 4]))), 'f32')
  trainStep(g, g.scale(g.sum(g.square(apart), [0, 1]), 0.25), 'speed', scaling)
  return g
}

const bytesOf = (program: TrainProgram) =>
  new Map([...program.state].filter(([name]) => !name.startsWith('scaling/')).map(([name, tensor]) => [name, [...tensor.read()]]))

test('the emulation rounds as float16 does: a third, the largest number and one beyond it', async () => {
  const g = new GraphBuilder('f32', { compute: 'f16' })
  g.output('y', g.cast(g.cast(g.input('x', [4]), 'f16'), 'f32'))
  const { y } = await evaluate(runtime, emulated(g), { x: Float32Array.of(1 / 3, 65504, 70000, 1e-9) })
  expect([...y!]).toEqual([0.333251953125, 65504, Infinity, 0])
})

test('a gradient that overflows changes no weight, moment or average, halves the scale, and the scale grows back', async () => {
  using program = await TrainProgram.compile(runtime, emulated(quadratic({ growAfter: 3 })))
  program.weights.write('w.weight', Float32Array.from(numbers(16, { seed: 1 })))
  const target = (factor: number) => {
    program.batch.write(
      'target',
      Float32Array.from(numbers(16, { seed: 2 }), (x) => x * factor),
    )
  }
  const { scale } = scalingState
  target(1)
  program.state.get(scale)!.write(Float32Array.of(1024))
  expect((await program.step(hyper)).lossScale).toBe(1024)
  const before = bytesOf(program)
  target(1000) // half of 1000 times 1024 does not fit into float16
  const skipped = await program.step({ ...hyper, step: 2 })
  expect(skipped.loss).toBeGreaterThan(0)
  expect(Number.isFinite(skipped.loss)).toBe(true)
  expect(Number.isFinite(skipped.gradNorm)).toBe(false)
  expect(skipped.lossScale).toBe(512)
  expect(bytesOf(program)).toEqual(before)
  target(1)
  const scales = []
  for (let step = 3; step <= 5; step++) scales.push((await program.step({ ...hyper, step })).lossScale)
  expect(scales).toEqual([512, 512, 1024])
  expect(bytesOf(program)).not.toEqual(before)
})

test('a skipped step leaves the steps after it what they would have been without it: bias correction counts updates', async () => {
  const run = async (interrupted: boolean) => {
    using program = await TrainProgram.compile(runtime, emulated(quadratic({ growAfter: 1000 })))
    program.weights.write('w.weight', Float32Array.from(numbers(16, { seed: 1 })))
    const target = Float32Array.from(numbers(16, { seed: 2 }))
    let step = 0
    if (interrupted) {
      program.batch.write(
        'target',
        target.map((x) => x * 1e4),
      )
      await program.step({ ...hyper, step: ++step })
    } else program.state.get(scalingState.scale)!.write(Float32Array.of(firstScale / 2))
    program.batch.write('target', target)
    for (let i = 0; i < 5; i++) await program.step({ ...hyper, step: ++step })
    return bytesOf(program)
  }
  expect(await run(true)).toEqual(await run(false))
})

test('clipping and the norm told are of gradients without the scale: powers of two leave float32 training as it was, to the bit', async () => {
  const run = async (scaling: { growAfter: number } | null) => {
    using program = await TrainProgram.compile(runtime, quadratic(scaling, false))
    program.weights.write('w.weight', Float32Array.from(numbers(16, { seed: 3 })))
    program.batch.write('target', Float32Array.from(numbers(16, { seed: 4 })))
    const norms: number[] = []
    for (let step = 1; step <= 8; step++) norms.push((await program.step({ ...hyper, step })).gradNorm)
    return { norms, state: bytesOf(program) }
  }
  expect(await run({ growAfter: 2 })).toEqual(await run(null))
})

const tiny = presets.find(({ name }) => name === 'tiny')!.recipe
const recipe: Recipe = {
  ...tiny,
  seed: 7,
  batchSize: 8,
  textEncoder: null,
  model: { ...tiny.model, embedDim: 32, depth: 2, height: 16, width: 16, condition: { kind: 'none' }, dropPath: 0 },
}

async function openHalf(settings: Recipe, compute: 'f16' | 'f32' = 'f16'): Promise<TrainProgram> {
  const graph = trainGraph(settings, { compute })
  const program = await TrainProgram.compile(runtime, emulated(graph), compute === 'f16' ? { scaling: { growAfter: 2000 } } : {})
  for (const [name, values] of initialParameters(graph, settings.seed, settings.model.depth)) {
    program.weights.write(name, values)
    program.copies.ema.write(name, values)
  }
  return program
}

async function take(program: TrainProgram, step: number, settings = recipe) {
  const size = settings.microBatch ?? settings.batchSize
  const images = Uint8Array.from(numbers(8 * 3 * 16 * 16, { seed: 5, low: 0, high: 256 }))
  const perPiece = images.length / (8 / size)
  program.batch.write('seed', BigInt64Array.of(7n))
  program.batch.write('step', BigInt64Array.of(BigInt(step)))
  const write = (piece: number) => {
    program.batch.write('images', images.subarray(piece * perPiece, (piece + 1) * perPiece))
    program.batch.write(
      'sample',
      BigInt64Array.from({ length: size }, (_, i) => BigInt(piece * size + i)),
    )
  }
  return await program.step({ ...hyper, weightDecay: 0, clipNorm: 2, learningRate: 2e-3, step }, { pieces: 8 / size, write })
}

test('a small ZigMa in float16 follows its float32 loss curve within 2 %', async () => {
  using half = await openHalf(recipe)
  using single = await openHalf(recipe, 'f32')
  let [a, b] = [0, 0]
  const means: number[] = []
  let skipped = 0
  for (let step = 1; step <= 60; step++) {
    const [x, y] = [await take(half, step), await take(single, step)]
    if (!Number.isFinite(x.gradNorm)) skipped++
    a += x.loss
    b += y.loss
    if (step % 20 !== 0) continue
    means.push(Math.abs(a / b - 1))
    a = b = 0
  }
  expect(Math.max(...means)).toBeLessThan(0.02)
  expect(skipped).toBeLessThan(6)
}, 60_000)

test.each([null, 4])(
  'training in float16 resumed from a checkpoint goes on bit for bit (pieces of %s)',
  async (microBatch) => {
    const settings = { ...recipe, microBatch }
    const [first, last] = [3, 6]
    using straight = await openHalf(settings)
    straight.state.get(scalingState.scale)!.write(Float32Array.of(2 ** 24))
    const lossScales: (number | null)[] = []
    let stored: Map<string, Uint8Array> | null = null
    for (let step = 1; step <= last; step++) {
      lossScales.push((await take(straight, step, settings)).lossScale)
      if (step !== first) continue
      const tensors = new Map(
        [...straight.state].map(([name, tensor]) => [name, { values: new Float32Array(tensor.read().buffer), shape: tensor.shape }]),
      )
      stored = writeTrainingState({ step, recipe: settings, snapshot: 's', tokenizer: null, engine: 'test', tensors })
    }
    expect(lossScales[0]).toBe(2 ** 23)
    const { tensors } = readTrainingState(stored!)
    using resumed = await openHalf(settings)
    for (const [name, tensor] of resumed.state) tensor.write(tensors.get(name)!.values)
    for (let step = first + 1; step <= last; step++) expect((await take(resumed, step, settings)).lossScale).toBe(lossScales[step - 1])
    for (const [name, tensor] of straight.state) expect([...resumed.state.get(name)!.read()], name).toEqual([...tensor.read()])
  },
  60_000,
)

test('a GPU without bfloat16 computes in float16 by default, later ones in bfloat16, and what it cannot do is refused', () => {
  const on = (computeCapability: number, precision: Recipe['precision']) =>
    precisionOf({ device: 'cuda', describeGpu: () => ({ name: 'a card', computeCapability }) }, { precision }).compute
  expect([on(75, 'auto'), on(80, 'auto'), on(90, 'auto'), on(90, 'f16'), on(75, 'f32')]).toEqual(['f16', 'bf16', 'bf16', 'f16', 'f32'])
  expect(() => on(75, 'bf16')).toThrow('bfloat16 needs 8.0. Set "precision" to "auto" or "f16".')
})
