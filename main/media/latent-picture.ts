type Color = readonly [number, number, number]

/** Of the palette of Okabe and Ito, which people tell apart who see colors differently. */
const below: Color = [0, 114, 178]
const zero: Color = [238, 238, 238]
const above: Color = [213, 94, 0]

/** Numbers as RGB bytes: blue below zero, grey at zero, orange above; full color from `largest` on. */
export function latentColors(values: Float32Array, largest: number): Uint8Array {
  const rgb = new Uint8Array(values.length * 3)
  values.forEach((x, i) => {
    const share = largest > 0 ? Math.max(-1, Math.min(1, x / largest)) : 0
    const full = share < 0 ? below : above
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = Math.round(zero[c]! + (full[c]! - zero[c]!) * Math.abs(share))
  })
  return rgb
}

const colored = 0.995

/** What full color stands for: few numbers lie beyond it. */
export function largestShown(values: Float32Array): number {
  const sizes = values.map(Math.abs).sort()
  return sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * colored))] ?? 0
}

export interface Comparison {
  /** RGB bytes: black where the two are equal, white at the largest difference. */
  picture: Uint8Array
  meanSquaredError: number
  /** Decibels; null when the two are equal. */
  psnr: number | null
  largestDifference: number
}

/** How far two pictures of equal size are apart, byte by byte. */
export function comparePictures(a: Uint8Array, b: Uint8Array): Comparison {
  if (a.length !== b.length) throw new TypeError(`comparePictures: ${a.length} and ${b.length} bytes are not of one size`)
  const differences = a.map((x, i) => Math.abs(x - b[i]!))
  const largestDifference = differences.reduce((most, x) => Math.max(most, x), 0)
  const meanSquaredError = differences.reduce((sum, x) => sum + x * x, 0) / a.length
  return {
    picture: largestDifference === 0 ? differences : differences.map((x) => Math.round((x * 255) / largestDifference)),
    meanSquaredError,
    psnr: meanSquaredError === 0 ? null : 10 * Math.log10(255 ** 2 / meanSquaredError),
    largestDifference,
  }
}
