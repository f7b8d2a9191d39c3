/*
 * Counter-based random numbers, Philox 4x32-10, with the same bits as the native kernel (native-ops/src/kernels/philox.h): every float operation
 * is rounded to float32 in the same order. Keyed by the seed, counted by (block, stream, step, sample): no hidden state.
 */

/** What a stream of random numbers is for; streams of one seed are independent. */
export const streams = {
  noise: 1,
  time: 2,
  conditionDropout: 3,
  dropPath: 4,
  initialization: 5,
  dataOrder: 6,
  sampling: 7,
  flip: 8,
  validation: 9,
  caption: 10,
} as const

export interface Counter {
  seed: number
  stream: number
  step?: number
  sample?: number
}

const round = Math.fround

/** Four 32-bit words of one counter; in `out`, where it is given. */
export function philoxBlock(block: number, { seed, stream, step = 0, sample = 0 }: Counter, out = new Uint32Array(4)): Uint32Array {
  let c0 = block >>> 0
  let c1 = stream >>> 0
  let c2 = step >>> 0
  let c3 = sample >>> 0
  let k0 = seed >>> 0
  let k1 = Math.floor(seed / 2 ** 32) >>> 0
  for (let i = 0; i < 10; i++) {
    const high0 = highProduct(0xd2511f53, c0)
    const high1 = highProduct(0xcd9e8d57, c2)
    const low0 = Math.imul(0xd2511f53, c0)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = Math.imul(0xcd9e8d57, c2)
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
  return out
}

/** The upper half of the 64-bit product of two words. */
function highProduct(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16]
  const middle = ah * bl + ((al * bl) >>> 16)
  const cross = (middle & 0xffff) + al * bh
  return ah * bh + (middle >>> 16) + (cross >>> 16)
}

/** `count` uniform numbers in [0, 1), multiples of 2^-24. */
export function uniform(count: number, counter: Counter): Float32Array {
  return fill(count, (block) => Array.from(philoxBlock(block, counter), unit))
}

/** `count` standard normal numbers. */
export function normal(count: number, counter: Counter): Float32Array {
  return fill(count, (block) => {
    const [a, b, c, d] = philoxBlock(block, counter) as unknown as [number, number, number, number]
    return [...normalPair(a, b), ...normalPair(c, d)]
  })
}

/** A shuffled order of 0..count-1 (Fisher and Yates). */
export function permutation(count: number, counter: Counter): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  const words = new Uint32Array(4)
  for (let i = count - 1; i > 0; i--) {
    philoxBlock(i, counter, words)
    const j = Math.floor(((words[0]! * 2 ** 21 + (words[1]! >>> 11)) / 2 ** 53) * (i + 1))
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}

const unit = (word: number): number => round(word >>> 8) * 2 ** -24

function fill(count: number, block: (index: number) => readonly number[]): Float32Array {
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 4) {
    const four = block(i / 4)
    for (let k = 0; k < 4 && i + k < count; k++) out[i + k] = four[k]!
  }
  return out
}

function normalPair(a: number, b: number): [number, number] {
  const radius = round(Math.sqrt(round(-2 * logarithm(round(((a >>> 8) + 1) * 2 ** -24)))))
  const [cosine, sine] = cosSin(unit(b))
  return [round(radius * cosine), round(radius * sine)]
}

const bits = new DataView(new ArrayBuffer(4))

/** log x of a normal positive float32, as the kernel computes it. */
function logarithm(x: number): number {
  bits.setFloat32(0, x)
  const word = bits.getUint32(0)
  let e = (word >>> 23) - 127
  bits.setUint32(0, (word & 0x007fffff) | 0x3f800000)
  let m = bits.getFloat32(0)
  if (m >= round(1.41421354)) [m, e] = [round(m * 0.5), e + 1]
  const s = round(round(m - 1) / round(m + 1))
  const p = polynomial(round(s * s), [0.0909090936, 0.111111112, 0.142857149, 0.200000003, 0.333333343, 1])
  return round(round(e * round(0.693147182)) + round(round(2 * s) * p))
}

/** cos and sin of 2 pi x, x in [0, 1), as the kernel computes them. */
function cosSin(x: number): [number, number] {
  const quarters = round(x * 4)
  const q = Math.trunc(round(quarters + 0.5))
  const r = round(round(quarters - q) * round(1.57079637))
  const z = round(r * r)
  const s = round(polynomial(z, [2.75573188e-6, -1.98412701e-4, 8.33333377e-3, -0.166666672, 1]) * r)
  const c = polynomial(z, [2.48015876e-5, -1.38888892e-3, 4.16666679e-2, -0.5, 1])
  return (
    [
      [c, s],
      [-s, c],
      [-c, -s],
      [s, -c],
    ] as [number, number][]
  )[q & 3]!
}

/** Horner's rule in float32, highest power first. */
function polynomial(z: number, coefficients: readonly number[]): number {
  return coefficients.reduce((p, c) => round(round(p * z) + round(c)), 0)
}
