/** Norm of the difference over norm of the reference; not a number anywhere is infinitely wrong. */
export function relativeError(actual: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (actual.length !== reference.length) return Infinity
  let difference = 0
  let size = 0
  for (let i = 0; i < reference.length; i++) {
    difference += (actual[i]! - reference[i]!) ** 2
    size += reference[i]! ** 2
  }
  const error = Math.sqrt(difference / size)
  return Number.isNaN(error) ? Infinity : error
}
