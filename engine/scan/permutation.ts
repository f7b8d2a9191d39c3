/** The order that undoes another: inverse[permutation[position]] = position. */
export function inversePermutation(permutation: Int32Array): Int32Array {
  const inverse = new Int32Array(permutation.length)
  permutation.forEach((token, position) => (inverse[token] = position))
  return inverse
}

/** Row-major order: position = token. */
export function raster(length: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => i)
}
