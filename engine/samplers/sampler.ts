/**
 * One evaluation of the network within a drawing, and what its velocity v moves. There are two pictures: the one that the network sees at `time`, and the one
 * that the step's moves start from. Afterwards the network sees start + ahead v, and later moves start from start + advance v. Every Runge-Kutta method of
 * low storage in van der Houwen's form is a list of these, among them Euler's and Heun's.
 */
export interface Evaluation {
  /** From 0 (noise) to 1 (data). */
  time: number
  ahead: number
  advance: number
  /** Whether what the network would see next is the picture at the next time. */
  endsStep: boolean
}

/** A method for dx/dt = v(x, t): the evaluations that carry a picture from each of the increasing times to the next. */
export type Sampler = (times: readonly number[]) => Evaluation[]

/** `steps` equal steps from noise to data: steps + 1 times. */
export function uniformTimes(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, i) => i / steps)
}
