const side = 32
const kept = 8

/** cosines[k][x]: the k-th of the lowest waves over a side, k = 1 to 8, scaled so that the transform keeps lengths. */
const cosines = Array.from({ length: kept }, (_, k) =>
  Float64Array.from({ length: side }, (_none, x) => Math.sqrt(2 / side) * Math.cos((Math.PI * (2 * x + 1) * (k + 1)) / (2 * side))),
)

/** Less than this much of any wave, in levels of gray over the whole picture, is nothing to see. */
const faintest = 8

/**
 * A picture's looks in 64 bits, as 16 hex digits: which of the 8 x 8 lowest waves of its 32 x 32 gray copy (discrete cosine transform, without the
 * constant ones) lie above their median. Copies that were scaled, saved again or brightened differ in few bits, other pictures in about 32. Null
 * for a picture of one color, which looks like any other such.
 *
 * @param gray 0 to 255, row by row.
 */
export function perceptualHash(gray: Uint8Array, width: number, height: number): string | null {
  const small = shrink(gray, width, height)
  const rows = new Float64Array(side * kept)
  for (let y = 0; y < side; y++)
    for (let u = 0; u < kept; u++) {
      let sum = 0
      for (let x = 0; x < side; x++) sum += cosines[u]![x]! * small[y * side + x]!
      rows[y * kept + u] = sum
    }
  const waves = new Float64Array(kept * kept)
  for (let v = 0; v < kept; v++)
    for (let u = 0; u < kept; u++) {
      let sum = 0
      for (let y = 0; y < side; y++) sum += cosines[v]![y]! * rows[y * kept + u]!
      waves[v * kept + u] = sum
    }
  if (waves.every((wave) => Math.abs(wave) < faintest)) return null
  const sorted = waves.toSorted()
  const median = (sorted[31]! + sorted[32]!) / 2
  let hex = ''
  for (let nibble = 0; nibble < 16; nibble++) {
    let bits = 0
    for (let bit = 0; bit < 4; bit++) bits = bits * 2 + (waves[nibble * 4 + bit]! > median ? 1 : 0)
    hex += bits.toString(16)
  }
  return hex
}

/** Means over 32 x 32 cells; a cell of a smaller picture is its nearest pixel. */
function shrink(gray: Uint8Array, width: number, height: number): Float64Array {
  const small = new Float64Array(side * side)
  const from = (cell: number, length: number) => Math.min(length - 1, Math.floor((cell * length) / side))
  const to = (cell: number, length: number) => Math.max(from(cell, length) + 1, Math.floor(((cell + 1) * length) / side))
  for (let cy = 0; cy < side; cy++)
    for (let cx = 0; cx < side; cx++) {
      const [x0, x1, y0, y1] = [from(cx, width), to(cx, width), from(cy, height), to(cy, height)]
      let sum = 0
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) sum += gray[y * width + x]!
      small[cy * side + cx] = sum / ((x1 - x0) * (y1 - y0))
    }
  return small
}
