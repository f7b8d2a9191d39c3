/** How many bits of two looks may differ for them to be alike at all, and to be taken for the same picture. */
export const alikeBits = 10
export const sameBits = 6

const bands = 4
const bandBits = 16
const buckets = 1 << bandBits
const yieldEvery = 4096

export interface Alike {
  /** For each picture the fewest bits in which another differs, -1 where none is alike. */
  nearest: Int8Array
  /** For each picture the first picture of its group of duplicates, itself where it has none. */
  group: Int32Array
  /** How many times two hashes were compared. */
  compared: number
}

/**
 * Finds pictures that look alike among perceptual hashes of 16 hex digits (null: nothing to compare). Not every pair is compared: two hashes that
 * differ in at most 10 bits differ in at most 2 within one of four bands of 16 bits, so each looks only into the buckets of its bands that are that
 * near (multi-index hashing, Norouzi, Punjani and Fleet 2012).
 */
export async function findAlike(looks: readonly (string | null)[]): Promise<Alike> {
  const nearest = new Int8Array(looks.length).fill(-1)
  const group = Int32Array.from(looks, (_, i) => i)
  const { first, owner } = distinct(looks, nearest, group)
  const high = Uint32Array.from(first, (i) => Number.parseInt(looks[i]!.slice(0, 8), 16))
  const low = Uint32Array.from(first, (i) => Number.parseInt(looks[i]!.slice(8), 16))
  let compared = 0
  for (let band = 0; band < bands; band++) {
    const half = band < 2 ? high : low
    const shift = band % 2 === 0 ? 16 : 0
    const { starts, order } = sortIntoBuckets(half, shift)
    for (let a = 0; a < first.length; a++) {
      if (a % yieldEvery === yieldEvery - 1) await new Promise((resolve) => setImmediate(resolve))
      const bits = (half[a]! >>> shift) & (buckets - 1)
      for (const flips of near) {
        const bucket = bits ^ flips
        for (let at = starts[bucket]!; at < starts[bucket + 1]!; at++) {
          const b = order[at]!
          if (b <= a) continue
          compared++
          const distance = ones(high[a]! ^ high[b]!) + ones(low[a]! ^ low[b]!)
          if (distance > alikeBits) continue
          closer(nearest, first[a]!, distance)
          closer(nearest, first[b]!, distance)
          if (distance <= sameBits) join(group, first[a]!, first[b]!)
        }
      }
    }
  }
  for (const [i, one] of owner.entries()) if (one >= 0 && nearest[i] === -1) nearest[i] = nearest[one]!
  return { nearest, group: group.map((_, i) => root(group, i)), compared }
}

/** Puts what is in one group into another; groups go by their smallest member. */
export function join(group: Int32Array, a: number, b: number): void {
  const [one, other] = [root(group, a), root(group, b)]
  group[Math.max(one, other)] = Math.min(one, other)
}

/** Equal hashes are compared with others once. `owner` is the first picture with the same hash. */
function distinct(looks: readonly (string | null)[], nearest: Int8Array, group: Int32Array): { first: number[]; owner: Int32Array } {
  const seen = new Map<string, number>()
  const first: number[] = []
  const owner = new Int32Array(looks.length).fill(-1)
  for (const [i, hash] of looks.entries()) {
    if (hash === null) continue
    const one = seen.get(hash)
    owner[i] = one ?? i
    if (one === undefined) {
      seen.set(hash, i)
      first.push(i)
      continue
    }
    nearest[i] = nearest[one] = 0
    join(group, one, i)
  }
  return { first, owner }
}

/** All ways to flip at most 2 of 16 bits. */
const near = (() => {
  const ways = [0]
  for (let i = 0; i < bandBits; i++) {
    ways.push(1 << i)
    for (let j = 0; j < i; j++) ways.push((1 << i) | (1 << j))
  }
  return Uint32Array.from(ways)
})()

/** A counting sort: the hashes of bucket b are order[starts[b]] to order[starts[b + 1] - 1]. */
function sortIntoBuckets(half: Uint32Array, shift: number): { starts: Uint32Array; order: Uint32Array } {
  const starts = new Uint32Array(buckets + 1)
  const bucketOf = (i: number) => (half[i]! >>> shift) & (buckets - 1)
  for (let i = 0; i < half.length; i++) starts[bucketOf(i) + 1]!++
  for (let bucket = 0; bucket < buckets; bucket++) starts[bucket + 1]! += starts[bucket]!
  const next = starts.slice()
  const order = new Uint32Array(half.length)
  for (let i = 0; i < half.length; i++) order[next[bucketOf(i)]!++] = i
  return { starts, order }
}

function closer(nearest: Int8Array, i: number, distance: number): void {
  if (nearest[i] === -1 || distance < nearest[i]!) nearest[i] = distance
}

function root(group: Int32Array, i: number): number {
  let at = i
  while (group[at] !== at) at = group[at] = group[group[at]!]!
  return at
}

function ones(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555)
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333)
  return (((n + (n >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
