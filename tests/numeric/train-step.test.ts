import { expect, test } from 'vitest'
import { GraphBuilder } from '#engine/graph/graph-builder.ts'
import { sizeOf } from '#engine/graph/shape.ts'
import { meanSquare } from '#engine/interpolant/loss.ts'
import { linear } from '#engine/nn/linear.ts'
import { trainStep, type Hyper } from '#engine/optim/train-step.ts'
import { relativeError } from '#engine/relative-error.ts'
import { TrainProgram } from '#engine/runtime/train-program.ts'
import { numbers, runtime } from '#tests/support/differences.ts'
import { smallFeeds, smallNetwork, smallSpec, textCondition } from '#tests/support/small-networks.ts'

const hyper: Hyper = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, emaDecay: 0.9, clipNorm: 0.5, step: 1 }

/** A quarter of |w - target|² + |b - shift|²: gradients that can be written down. */
function quadratic(): GraphBuilder {
  const g = new GraphBuilder('f32')
  const [w, b] = [g.parameter('layer.weight', [3, 5]), g.parameter('layer.bias', [7])]
  const toWeight = g.sub(w, g.input('target', [3, 5]))
  const toBias = g.sub(b, g.input('shift', [7]))
  trainStep(g, g.scale(g.add(g.sum(g.square(toWeight), [0, 1]), g.sum(g.square(toBias), [0])), 0.25))
  return g
}

/** AdamW as PyTorch defines it, with clipping by the common norm and a moving average, in plain double precision. */
function plainAdamW(
  tensors: { w: Float64Array; target: Float64Array; decays: boolean }[],
  h: Hyper,
  steps: number,
): { w: number[]; ema: number[] }[] {
  const state = tensors.map(({ w }) => ({ w: [...w], m: w.map(() => 0), v: w.map(() => 0), ema: [...w] }))
  for (let step = 1; step <= steps; step++) {
    const gradients = state.map(({ w }, k) => w.map((x, i) => 0.5 * (x - tensors[k]!.target[i]!)))
    const norm = Math.sqrt(gradients.flat().reduce((sum, x) => sum + x * x, 0))
    const factor = norm > h.clipNorm ? h.clipNorm / (norm + 1e-6) : 1
    state.forEach((s, k) => {
      s.w.forEach((old, i) => {
        const gradient = gradients[k]![i]! * factor
        s.m[i] = h.beta1 * s.m[i]! + (1 - h.beta1) * gradient
        s.v[i] = h.beta2 * s.v[i]! + (1 - h.beta2) * gradient ** 2
        const [m, v] = [s.m[i] / (1 - h.beta1 ** step), s.v[i] / (1 - h.beta2 ** step)]
        const decayed = tensors[k]!.decays ? old * (1 - h.learningRate * h.weightDecay) : old
        s.w[i] = decayed - (h.learningRate * m) / (Math.sqrt(v) + h.epsilon)
        s.ema[i] = h.emaDecay * s.ema[i]! + (1 - h.emaDecay) * s.w[i]
      })
    })
  }
  return state
}

test('twenty steps give what AdamW written out gives, in place, biases without decay', async () => {
  using program = await TrainProgram.compile(runtime, quadratic())
  const data = {
    'layer.weight': numbers(15, { seed: 1 }),
    'layer.bias': numbers(7, { seed: 2 }),
    target: numbers(15, { seed: 3 }),
    shift: numbers(7, { seed: 4 }),
  }
  for (const name of ['layer.weight', 'layer.bias'] as const) {
    program.weights.write(name, Float32Array.from(data[name]))
    program.copies.ema.write(name, Float32Array.from(data[name]))
  }
  for (const name of ['target', 'shift'] as const) program.batch.write(name, Float32Array.from(data[name]))
  for (let step = 1; step <= 20; step++) await program.step({ ...hyper, step })
  const [weight, bias] = plainAdamW(
    [
      { w: data['layer.weight'], target: data.target, decays: true },
      { w: data['layer.bias'], target: data.shift, decays: false },
    ],
    hyper,
    20,
  ) as [{ w: number[]; ema: number[] }, { w: number[]; ema: number[] }]
  expect(relativeError(program.weights.floats('layer.weight'), weight.w)).toBeLessThan(1e-6)
  expect(relativeError(program.weights.floats('layer.bias'), bias.w)).toBeLessThan(1e-6)
  expect(relativeError(program.copies.ema.floats('layer.weight'), weight.ema)).toBeLessThan(1e-6)
})

test('the loss and the norm of a step are those of the weights before it', async () => {
  using program = await TrainProgram.compile(runtime, quadratic())
  program.weights.write('layer.bias', new Float32Array(7).fill(2))
  const { loss, gradNorm } = await program.step(hyper)
  expect(loss).toBeCloseTo(7, 5)
  expect(gradNorm).toBeCloseTo(Math.sqrt(7), 5)
})

test('a step with a gradient that is not a number changes nothing', async () => {
  using program = await TrainProgram.compile(runtime, quadratic())
  program.weights.write('layer.bias', new Float32Array(7).fill(2))
  program.batch.write('target', new Float32Array(15).fill(NaN))
  expect((await program.step(hyper)).gradNorm).toBeNaN()
  expect([...program.weights.floats('layer.bias')]).toEqual(Array<number>(7).fill(2))
  expect([...program.copies.v.floats('layer.weight')]).toEqual(Array<number>(15).fill(0))
})

test('a small network of dense layers learns the product of two numbers', async () => {
  const g = new GraphBuilder('f32')
  const x = g.input('x', [64, 2])
  const hidden = g.tanh(linear(g, g.tanh(linear(g, x, 'first', 16)), 'second', 16))
  trainStep(g, meanSquare(g, linear(g, hidden, 'last', 1), g.input('y', [64, 1])))
  using program = await TrainProgram.compile(runtime, g)
  ;[...g.parameters].forEach(([name, { shape }], i) => {
    program.weights.write(name, Float32Array.from(numbers(sizeOf(shape), { seed: i, low: -0.5, high: 0.5 })))
  })
  const points = Float32Array.from(numbers(128, { seed: 50 }))
  program.batch.write('x', points)
  program.batch.write(
    'y',
    Float32Array.from({ length: 64 }, (_, i) => points[2 * i]! * points[2 * i + 1]!),
  )
  let loss = Infinity
  for (let step = 1; step <= 400; step++) ({ loss } = await program.step({ ...hyper, weightDecay: 0, clipNorm: 0, step }))
  expect(loss).toBeLessThan(1e-3)
})

test('a small ZigMa with text fits one batch, and two runs of it agree to the last bit', async () => {
  const train = async () => {
    const { g, velocity } = smallNetwork(smallSpec({ condition: textCondition }), 'f32')
    trainStep(g, meanSquare(g, velocity, g.input('target', velocity.shape)))
    using program = await TrainProgram.compile(runtime, g)
    const feeds = smallFeeds(g)
    for (const name of g.parameters.keys()) program.weights.write(name, feeds[name]!)
    for (const name of program.batch.tensors.keys()) program.batch.write(name, feeds[name]!)
    const losses: number[] = []
    for (let step = 1; step <= 60; step++) losses.push((await program.step({ ...hyper, weightDecay: 0, step })).loss)
    return losses
  }
  const losses = await train()
  expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!)
  expect(await train()).toEqual(losses)
})
