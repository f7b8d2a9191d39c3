import type { Recipe } from '#contracts/recipe.ts'
import type { MetricPoint } from '#contracts/studio.ts'

/** How fast a recipe trains on a device. */
export interface Pace {
  secondsPerStep: number
  /** What a training takes beside its steps: building the network, first losses, writing the last checkpoint. */
  besidesSeconds: number
}

/** A pace is measured over so many steps, and for so long: on a graphics card ten steps are a blink. */
const measured = { steps: 10, seconds: 5 }
/** Of the time for steps; the rest is for validations, checkpoints and a machine that is slower than it was. */
const stepShare = 0.92
const validations = 20
const fewestSteps = 20
/** Looking at held-out pictures costs as much as one or two steps. */
const stepsBetweenValidations = 40
/** Writing a checkpoint of a large network takes seconds. */
const secondsBetweenCheckpoints = 120

/** Whether a training went on for long enough to tell its pace. */
export function paceIsMeasured(points: readonly MetricPoint[]): boolean {
  const times = stepTimes(points)
  return times.length >= measured.steps && times.reduce((sum, seconds) => sum + seconds, 0) >= measured.seconds
}

/** The pace of a training that took `seconds` from its start to its end. Its first half warms up and does not count; its first step may build things. */
export function paceOf(points: readonly MetricPoint[], seconds: number): Pace {
  const times = stepTimes(points)
  const settled = times.slice(Math.floor(times.length / 2)).sort((a, b) => a - b)
  const secondsPerStep = settled[Math.floor(settled.length / 2)] ?? 1
  const [first = 0, ...others] = times
  const ordinary = Math.min(first, secondsPerStep) + others.reduce((sum, time) => sum + time, 0)
  return { secondsPerStep, besidesSeconds: Math.max(0, seconds - ordinary) }
}

/** The recipe for a training of some minutes: as many steps as fit, over which the learning rate falls. */
export function planned(recipe: Recipe, minutes: number, { secondsPerStep, besidesSeconds }: Pace): Recipe {
  const seconds = Math.max(minutes * 30, minutes * 60 - besidesSeconds)
  const steps = Math.max(fewestSteps, Math.floor((seconds * stepShare) / secondsPerStep))
  return {
    ...recipe,
    steps,
    optimizer: { ...recipe.optimizer, warmupSteps: Math.min(recipe.optimizer.warmupSteps, Math.floor(steps / 20)) },
    validateEvery: Math.max(stepsBetweenValidations, Math.ceil(steps / validations)),
    checkpointEvery: Math.max(Math.ceil(steps / 4), Math.ceil(secondsBetweenCheckpoints / secondsPerStep)),
  }
}

function stepTimes(points: readonly MetricPoint[]): number[] {
  return points.flatMap(({ secondsPerStep }) => (secondsPerStep ? [secondsPerStep] : []))
}
