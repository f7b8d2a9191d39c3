import type { DatasetSplit } from '#contracts/dataset.ts'

const splitNames: Readonly<Record<string, DatasetSplit>> = {
  train: 'train',
  training: 'train',
  validation: 'validation',
  valid: 'validation',
  val: 'validation',
  dev: 'validation',
  test: 'test',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
}

/** The split that a name stands for, as Hugging Face has it for folders. */
export function splitOf(name: string): DatasetSplit | null {
  return (Object.hasOwn(splitNames, name) ? splitNames[name] : null) ?? null
}
