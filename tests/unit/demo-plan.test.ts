import { describe, expect, test } from 'vitest'
import type { MetricPoint } from '#contracts/studio.ts'
import { presets } from '#engine/presets.ts'
import { paceIsMeasured, paceOf, planned } from '#main/cli/demo-plan.ts'

const { recipe } = presets.find(({ name }) => name === 'fine')!
const steps = (...seconds: (number | null)[]): MetricPoint[] =>
  seconds.map((secondsPerStep, step) => ({ ...{ step, loss: 1, validationLoss: null, gradNorm: 1, learningRate: 0 }, secondsPerStep }))

describe('the pace of a training', () => {
  test('is that of steps that have warmed up; what else it took stands beside it', () => {
    // 4 s until the first step, which takes 8 s to compile, four slow ones, five of 40 ms, 2 s for the checkpoint
    const pace = paceOf(steps(null, 8, 0.1, 0.1, 0.1, 0.1, 0.04, 0.04, 0.04, 0.04, 0.04), 4 + 8 + 0.6 + 2)
    expect(pace.secondsPerStep).toBe(0.04)
    expect(pace.besidesSeconds).toBeCloseTo(4 + (8 - 0.04) + 2, 6)
  })

  test('is measured after ten steps and five seconds, not sooner', () => {
    expect(paceIsMeasured(steps(null, ...Array<number>(9).fill(3)))).toBe(false)
    expect(paceIsMeasured(steps(null, ...Array<number>(10).fill(3)))).toBe(true)
    expect(paceIsMeasured(steps(null, ...Array<number>(100).fill(0.04)))).toBe(false)
    expect(paceIsMeasured(steps(null, ...Array<number>(130).fill(0.04)))).toBe(true)
  })
})

describe('a training of four minutes', () => {
  const plan = planned(recipe, 4, { secondsPerStep: 0.04, besidesSeconds: 20 })

  test('has the steps that fit beside all else, with some time to spare', () => {
    expect(plan.steps).toBeLessThan((240 - 20) / 0.04)
    expect(plan.steps).toBeGreaterThan(0.9 * ((240 - 20) / 0.04))
  })

  test('looks at held-out pictures twenty times and writes two checkpoints, the last at its end', () => {
    expect(Math.ceil(plan.steps / plan.validateEvery)).toBe(20)
    expect(Math.ceil(plan.steps / plan.checkpointEvery)).toBe(2)
  })

  test('is the preset but for its length', () => {
    const { steps: _, validateEvery: _v, checkpointEvery: _c, ...others } = plan
    const { steps: _s, validateEvery: _ve, checkpointEvery: _ce, ...preset } = recipe
    expect(others).toEqual(preset)
  })
})

test('where a step is slow there are some all the same, and the learning rate rises over the first of them only', () => {
  const plan = planned(recipe, 1, { secondsPerStep: 20, besidesSeconds: 100 })
  expect(plan.steps).toBe(20)
  expect(plan.optimizer.warmupSteps).toBe(1)
})
