/** Number of different zigzags on a grid (spec 2.1). */
export const zigzagCount = 8

/**
 * Zigzag number `scheme` (0..7) over a grid: permutation[position] = token id, token id = row * columns + column.
 * Even schemes run along rows, odd ones along columns; scheme div 2 is the corner they start from: top left, top right,
 * bottom left, bottom right. Every step goes to a neighbor, on any rectangle (spec 2.1).
 */
export function zigzag(scheme: number, rows: number, columns: number): Int32Array {
  const fromRight = (scheme >> 1) % 2 === 1
  const fromBottom = scheme >> 1 >= 2
  const row = (i: number) => (fromBottom ? rows - 1 - i : i)
  const column = (j: number) => (fromRight ? columns - 1 - j : j)
  const permutation = new Int32Array(rows * columns)
  let position = 0
  if (scheme % 2 === 0) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) permutation[position++] = row(i) * columns + column(i % 2 === 0 ? j : columns - 1 - j)
    }
  } else {
    for (let j = 0; j < columns; j++) {
      for (let i = 0; i < rows; i++) permutation[position++] = row(j % 2 === 0 ? i : rows - 1 - i) * columns + column(j)
    }
  }
  return permutation
}
