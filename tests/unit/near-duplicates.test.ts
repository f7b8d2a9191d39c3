import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findAlike, alikeBits, sameBits } from '#main/media/near-duplicates.ts'

const hex = (bits: bigint) => bits.toString(16).padStart(16, '0')
const distance = (a: string, b: string) => (BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(2).replaceAll('0', '').length

/** Every pair compared, groups by painting over. */
function slowly(looks: (string | null)[]): { nearest: number[]; group: number[] } {
  const group = looks.map((_, i) => i)
  const nearest = looks.map((one, i) =>
    looks.reduce((least, other, j) => {
      if (one === null || other === null || i === j) return least
      const bits = distance(one, other)
      if (bits <= sameBits) {
        const [from, to] = [Math.max(group[i]!, group[j]!), Math.min(group[i]!, group[j]!)]
        for (const [k, member] of group.entries()) if (member === from) group[k] = to
      }
      return bits <= alikeBits && (least === -1 || bits < least) ? bits : least
    }, -1),
  )
  return { nearest, group }
}

test('finds the same neighbors and groups as comparing every pair', async () => {
  // Families: a hash and copies with some bits flipped, so that all distances around both limits occur.
  const family = fc
    .tuple(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.array(fc.array(fc.integer({ min: 0, max: 63 }), { maxLength: 12 }), { maxLength: 6 }),
    )
    .map(([first, copies]) => [first, ...copies.map((flips) => flips.reduce((bits, flip) => bits ^ (1n << BigInt(flip)), first))].map(hex))
  const looks = fc
    .array(fc.oneof({ weight: 4, arbitrary: family }, { weight: 1, arbitrary: fc.constant([null]) }), { maxLength: 8 })
    .map((all) => all.flat())
  await fc.assert(
    fc.asyncProperty(looks, async (all) => {
      const { nearest, group } = await findAlike(all)
      expect({ nearest: [...nearest], group: [...group] }).toEqual(slowly(all))
    }),
    { numRuns: process.env.ZIGMA_LONG ? 3000 : 150 },
  )
})

test('compares about one pair in 120 of pictures that have nothing to do with each other', async () => {
  let state = 1n
  const random = () => hex((state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)))
  const count = 20_000
  const { compared } = await findAlike(Array.from({ length: count }, random))
  // Each of 4 bands looks into the 137 of 65,536 buckets that are at most 2 bits away.
  const share = compared / ((count * (count - 1)) / 2)
  expect(share).toBeGreaterThan((0.9 * 4 * 137) / 65_536)
  expect(share).toBeLessThan((1.1 * 4 * 137) / 65_536)
})
