import { inversePermutation } from './permutation.ts'

/** A matrix of ranks: at[row * columns + column] is the position of that cell on the curve. */
interface Ranks {
  rows: number
  columns: number
  at: Int32Array
}

/**
 * Hilbert scan number `scheme` (0..7) over any rectangle: the curve, turned by scheme div 2 quarter turns and transposed for odd schemes
 * (spec 2.4). permutation[position] = token id.
 */
export function hilbert(scheme: number, rows: number, columns: number): Int32Array {
  return inversePermutation(hilbertRanks(scheme, rows, columns))
}

/** The official network gathers with the rank of a cell instead of with the path (spec 0.9): the inverse of a Hilbert scan. */
export function hilbertOfficial(scheme: number, rows: number, columns: number): Int32Array {
  return hilbertRanks(scheme, rows, columns)
}

function hilbertRanks(scheme: number, rows: number, columns: number): Int32Array {
  const quarterTurns = scheme >> 1
  const transposed = scheme % 2 === 1
  const swapped = (quarterTurns % 2 === 1) !== transposed
  let ranks = curveRanks(swapped ? columns : rows, swapped ? rows : columns)
  for (let i = 0; i < quarterTurns; i++) ranks = turn(ranks)
  return (transposed ? transpose(ranks) : ranks).at
}

/** Ranks of the generalized Hilbert curve: recursive halving along the longer side, kept even so that the pieces join. */
function curveRanks(rows: number, columns: number): Ranks {
  const at = new Int32Array(rows * columns)
  let rank = 0
  const visit = (row: number, column: number) => (at[row * columns + column] = rank++)

  /** Fill the rectangle spanned from (x, y) by the long axis a and the short axis b. */
  const fill = (x: number, y: number, ax: number, ay: number, bx: number, by: number): void => {
    const along = Math.abs(ax + ay)
    const across = Math.abs(bx + by)
    const [stepAx, stepAy, stepBx, stepBy] = [Math.sign(ax), Math.sign(ay), Math.sign(bx), Math.sign(by)]
    if (across === 1) {
      for (let i = 0; i < along; i++) visit(x + i * stepAx, y + i * stepAy)
      return
    }
    if (along === 1) {
      for (let i = 0; i < across; i++) visit(x + i * stepBx, y + i * stepBy)
      return
    }
    let [halfAx, halfAy, halfBx, halfBy] = [Math.floor(ax / 2), Math.floor(ay / 2), Math.floor(bx / 2), Math.floor(by / 2)]
    if (2 * along > 3 * across) {
      if (Math.abs(halfAx + halfAy) % 2 === 1 && along > 2) [halfAx, halfAy] = [halfAx + stepAx, halfAy + stepAy]
      fill(x, y, halfAx, halfAy, bx, by)
      fill(x + halfAx, y + halfAy, ax - halfAx, ay - halfAy, bx, by)
      return
    }
    if (Math.abs(halfBx + halfBy) % 2 === 1 && across > 2) [halfBx, halfBy] = [halfBx + stepBx, halfBy + stepBy]
    fill(x, y, halfBx, halfBy, halfAx, halfAy)
    fill(x + halfBx, y + halfBy, ax, ay, bx - halfBx, by - halfBy)
    fill(x + (ax - stepAx) + (halfBx - stepBx), y + (ay - stepAy) + (halfBy - stepBy), -halfBx, -halfBy, halfAx - ax, halfAy - ay)
  }

  if (rows >= columns) fill(0, 0, rows, 0, 0, columns)
  else fill(0, 0, 0, columns, rows, 0)
  return { rows, columns, at }
}

function transpose({ rows, columns, at }: Ranks): Ranks {
  return { rows: columns, columns: rows, at: at.map((_, i) => at[(i % rows) * columns + Math.floor(i / rows)]!) }
}

/** A quarter turn counter-clockwise: the last column becomes the first row. */
function turn({ rows, columns, at }: Ranks): Ranks {
  return { rows: columns, columns: rows, at: at.map((_, i) => at[(i % rows) * columns + (columns - 1 - Math.floor(i / rows))]!) }
}
