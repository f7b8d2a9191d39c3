import type { Evaluation } from '#engine/samplers/sampler.ts'

/** Where the evaluations of a sampler carry `noise`, in double precision. */
export async function carried(
  velocity: (x: Float64Array, t: number) => Float64Array | Promise<Float64Array>,
  noise: Float64Array,
  evaluations: readonly Evaluation[],
): Promise<Float64Array> {
  let [seen, start] = [noise, noise]
  for (const { time, ahead, advance } of evaluations) {
    const v = await velocity(seen, time)
    seen = start.map((x, i) => x + ahead * v[i]!)
    start = start.map((x, i) => x + advance * v[i]!)
  }
  return seen
}
