import type { Shape } from './value.ts'

/** A size that does not fit. The sentence names the operation, the rule, the value and the way out. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError'
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1)
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i])
}

/** The common shape of two operands under NumPy's broadcasting rule. */
export function broadcastShape(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const m = a[a.length - rank + i] ?? 1
    const n = b[b.length - rank + i] ?? 1
    if (m !== n && m !== 1 && n !== 1)
      throw new ShapeError(`${op}: shapes ${show(a)} and ${show(b)} differ at axis ${i} and neither is 1. Reshape one of them.`)
    return Math.max(m, n)
  })
}

/** An axis counted from the front; negative axes count from the back. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank)
    throw new ShapeError(`${op}: axis ${axis} is outside a tensor of ${rank} axes.`)
  return normal
}

export function show(shape: Shape): string {
  return `[${shape.join(', ')}]`
}
