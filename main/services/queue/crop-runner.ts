import type { OpenProject } from '../open-project.ts'
import type { Runner } from './job-queue.ts'

/** Makes the training pixels of all items whose crop has changed. */
export function cropRunner(project: OpenProject): Runner {
  return ({ payload }, context) => {
    if (payload.kind !== 'crop') throw new TypeError(`cropRunner: got a job of kind ${payload.kind}`)
    return project.cropping.run(context)
  }
}
