import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { MetricPoint } from '#contracts/studio.ts'
import { evenTicks, frame, logarithmicTicks, lossCurve, smoothed } from '#main/media/loss-curve.ts'

const point = (step: number, loss: number | null, validationLoss: number | null = null): MetricPoint => ({
  ...{ step, loss, validationLoss },
  ...{ gradNorm: null, learningRate: 0, secondsPerStep: null },
})

/** A run of n steps that falls, looked at every tenth of the way. */
function run(n: number): MetricPoint[] {
  const steps = Array.from({ length: n }, (_, i) => i + 1)
  return [
    point(0, null, 2),
    ...steps.map((step) => point(step, 0.2 + 1.8 / step + (step % 3) * 0.05, step % Math.ceil(n / 10) === 0 ? 0.3 + 1.7 / step : null)),
  ]
}

/** Every place that lines and marks of the picture go through; the first mark is the legend's. */
function places(svg: string): [number, number][] {
  const lines = [...svg.matchAll(/points="([^"]*)"/g)].flatMap(([, all]) => all!.split(' ').filter(Boolean))
  const marks = [...svg.matchAll(/<circle cx="([^"]*)" cy="([^"]*)"/g)].slice(1).map(([, x, y]) => `${x},${y}`)
  return [...lines, ...marks].map((place) => place.split(',').map(Number) as [number, number])
}

describe('ticks', () => {
  test.each([
    [1000, [0, 200, 400, 600, 800, 1000]],
    [5873, [0, 1000, 2000, 3000, 4000, 5000]],
    [192, [0, 50, 100, 150]],
    [16, [0, 2, 4, 6, 8, 10, 12, 14, 16]],
    [3, [0, 1, 2, 3]],
    [1, [0, 1]],
  ])('of %i steps are even and round', (end, expected) => {
    expect(evenTicks(end)).toEqual(expected)
  })

  test.each([
    [0.0009, 12, [0.001, 0.01, 0.1, 1, 10]],
    [0.05, 2.1, [0.05, 0.1, 0.2, 0.5, 1, 2]],
    [0.19, 2.1, [0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2]],
    [1.15, 1.62, [1.2, 1.3, 1.4, 1.5, 1.6]],
  ])('of losses from %d to %d are short numbers', (low, high, expected) => {
    expect(logarithmicTicks(low, high)).toEqual(expected)
  })
})

test('a smoothed constant is the constant, a smoothed straight line the line but near its end, and the first point stays', () => {
  const flat = Array.from({ length: 1000 }, (_, step) => ({ step, loss: 0.5 }))
  for (const { loss } of smoothed(flat)) expect(loss).toBeCloseTo(0.5, 9)
  const falling = flat.map(({ step }) => ({ step, loss: 2000 - step }))
  const line = smoothed(falling)
  expect(line[0]).toEqual({ step: 0, loss: 2000 })
  expect(line.at(-1)!.step).toBe(999)
  for (const { step, loss } of line.filter(({ step: at }) => at < 970)) expect(loss).toBeCloseTo(2000 - step, 6)
})

describe('the picture of a run', () => {
  test.each([1, 20, 5000])('of %i steps has every place inside of its frame', (n) => {
    const svg = lossCurve({ title: 'a run', points: run(n), baselines: { untrained: 2, constant: 1.29 } })
    const all = places(svg)
    expect(all.length).toBeGreaterThan(n === 1 ? 3 : 20)
    for (const [x, y] of all) {
      expect(x).toBeGreaterThanOrEqual(frame.left)
      expect(x).toBeLessThanOrEqual(frame.right)
      expect(y).toBeGreaterThan(frame.top)
      expect(y).toBeLessThan(frame.bottom)
    }
    expect(svg.length).toBeLessThan(60_000)
  })

  test('marks every look at held-out pictures, where it was: on a logarithmic axis the mean of exponents lies in the middle', () => {
    const points = [point(0, null, 4), point(50, null, 2), point(100, null, 1)]
    const circles = places(lossCurve({ title: '', points, baselines: { untrained: null, constant: null } })).slice(-3)
    expect(circles.map(([x]) => x)).toEqual([frame.left, (frame.left + frame.right) / 2, frame.right])
    const [first, second, third] = circles.map(([, y]) => y) as [number, number, number]
    expect(second).toBeCloseTo((first + third) / 2, 0)
    expect(first).toBeLessThan(second)
  })

  test('names both predictors that know nothing, and none that was not measured', () => {
    const svg = lossCurve({ title: 'x', points: run(20), baselines: { untrained: 1.9452, constant: 1.286 } })
    expect(svg).toContain('untrained network 1.945')
    expect(svg).toContain('best constant 1.286')
    expect(lossCurve({ title: 'x', points: run(20), baselines: { untrained: null, constant: null } })).not.toContain('constant')
  })

  test('is drawn, also of nothing and of numbers that are none, and with a title of any letters', async () => {
    const none = { untrained: null, constant: null }
    for (const points of [[], [point(0, null, null)], [point(1, NaN), point(2, Infinity), point(3, 0)], run(300)]) {
      const svg = lossCurve({ title: 'a <b> & "c"', points, baselines: none })
      expect(svg).not.toMatch(/NaN|Infinity/)
      const { data, info } = await sharp(Buffer.from(svg)).flatten().raw().toBuffer({ resolveWithObject: true })
      expect([info.width, info.height]).toEqual([800, 480])
      expect([...data.subarray(0, 3)]).toEqual([255, 255, 255])
      const title = Array.from({ length: 30 * 200 }, (_, i) => data[((10 + Math.floor(i / 200)) * 800 + 64 + (i % 200)) * info.channels]!)
      expect(title.some((value) => value < 100)).toBe(true)
    }
  })
})
