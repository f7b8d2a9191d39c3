/** RGB bytes, row by row -> values in [-1, 1], channel by channel [3, size, size]. */
export function imageValues(rgb: Uint8Array, size: number, out: Float32Array): void {
  const plane = size * size
  for (let pixel = 0; pixel < plane; pixel++) for (let c = 0; c < 3; c++) out[c * plane + pixel] = rgb[pixel * 3 + c]! / 127.5 - 1
}

/** Values [3, height, width] in [-1, 1] -> RGB bytes row by row; what lies outside is cut off. */
export function rgbBytes(values: Float32Array, width: number, height: number): Uint8Array {
  const plane = width * height
  return Uint8Array.from({ length: 3 * plane }, (_, i) =>
    Math.max(0, Math.min(255, Math.round((values[(i % 3) * plane + Math.floor(i / 3)]! + 1) * 127.5))),
  )
}

/** Left and right exchanged, in place. */
export function mirror(rgb: Uint8Array, size: number): void {
  for (let row = 0; row < size; row++) {
    for (let [left, right] = [row * size * 3, (row * size + size - 1) * 3]; left < right; left += 3, right -= 3) {
      for (let c = 0; c < 3; c++) {
        const swapped = rgb[left + c]!
        rgb[left + c] = rgb[right + c]!
        rgb[right + c] = swapped
      }
    }
  }
}
