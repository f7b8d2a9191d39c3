import { describe, expect, test } from 'vitest'
import { normal, permutation, philoxBlock, streams, uniform } from '#engine/random/philox.ts'
import { runtime } from '#tests/support/differences.ts'
import { drawnOn } from '#tests/support/drawn-on.ts'

const hex = (words: Uint32Array) => [...words].map((word) => word.toString(16).padStart(8, '0')).join(' ')

describe('Philox 4x32-10', () => {
  test('gives the words that its authors published', () => {
    expect(hex(philoxBlock(0, { seed: 0, stream: 0 }))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8')
  })

  test.each(['uniform', 'normal'] as const)('gives the same %s bits in TypeScript and in the native kernel', async (distribution) => {
    const counter = { seed: 9007199254740881, stream: streams.noise, step: 123456, sample: 7 }
    const size = 4099
    const native = await drawnOn(runtime, size, distribution, counter)
    const ours = (distribution === 'uniform' ? uniform : normal)(size, counter)
    expect(Buffer.from(native.buffer).equals(Buffer.from(ours.buffer))).toBe(true)
  })

  test('makes uniform numbers of mean 1/2 and variance 1/12 and normal ones of mean 0 and variance 1', () => {
    const moments = (x: Float32Array) => {
      const mean = x.reduce((sum, v) => sum + v, 0) / x.length
      return [mean, x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length] as const
    }
    const [meanU, varianceU] = moments(uniform(200_000, { seed: 3, stream: 1 }))
    expect(meanU).toBeCloseTo(0.5, 2)
    expect(varianceU).toBeCloseTo(1 / 12, 3)
    const [meanN, varianceN] = moments(normal(200_000, { seed: 3, stream: 1 }))
    expect(meanN).toBeCloseTo(0, 1.8)
    expect(varianceN).toBeCloseTo(1, 1.8)
  })

  test('shuffles: every item once, another order for another epoch, the same for the same', () => {
    const order = permutation(1000, { seed: 5, stream: streams.dataOrder, step: 1 })
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(permutation(1000, { seed: 5, stream: streams.dataOrder, step: 1 })).toEqual(order)
    expect(permutation(1000, { seed: 5, stream: streams.dataOrder, step: 2 })).not.toEqual(order)
  })
})
