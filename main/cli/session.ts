import { StudioError } from '#contracts/errors.ts'
import type { Job } from '#contracts/job.ts'
import type { ProjectId } from '#contracts/project.ts'
import { compose, type Studio } from '../compose.ts'
import { newProjectAt, takeAway } from '../store/new-project.ts'
import type { Output } from './output.ts'
import { duration } from './output.ts'

const endSignals = ['SIGINT', 'SIGTERM'] as const

/**
 * Runs work on the project in a folder, made there if it is not, and leaves it in good order; Ctrl+C ends the work as the studio's Stop does.
 *
 * @param keepEmpty whether a project that was made for work that fails stays though its data set knows of no file.
 */
export async function withProject<T>(
  folder: string,
  allowedRoots: readonly string[],
  work: (studio: Studio) => Promise<T>,
  { keepEmpty = true }: { keepEmpty?: boolean } = {},
): Promise<T> {
  const studio = await compose({ host: 'cli', allowedRoots })
  const { registry } = studio.context
  const before = keepEmpty ? null : await newProjectAt(folder)
  let unused: ProjectId | null = null
  try {
    // What another studio left waiting stays waiting: this command does its own work.
    await studio.openFolder(folder, { create: true, startQueue: false })
    return await work(studio)
  } catch (error) {
    const project = studio.context.current()
    if (before && project && (await project.dataset.entries()).length === 0) unused = project.file.id
    throw error
  } finally {
    await studio.close()
    if (before && unused) {
      await takeAway(before)
      await registry.forget(unused)
    }
  }
}

/** Lets one job run to its end, showing its progress. @throws StudioError with the job's own error. */
export async function finishJob(studio: Studio, job: Job, output: Output): Promise<Job> {
  const { queue } = studio.context.project()
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    void queue.cancel(job.id)
  }
  for (const name of endSignals) process.once(name, interrupt)
  try {
    const ended = await new Promise<Job>((resolve) => {
      const stop = studio.subscribe(({ name, news }) => {
        if (name === 'job.progressed' && news.jobId === job.id) {
          const { done, total, unit, secondsLeft, note } = news
          output.progress(
            `${done}${total === null ? '' : ` of ${total}`} ${unit}${secondsLeft === null ? '' : ` · ${duration(secondsLeft)} left`}${note ? ` · ${note}` : ''}`,
          )
        }
        if (name === 'job.changed' && news.id === job.id && !['queued', 'running'].includes(news.state)) {
          stop()
          resolve(news)
        }
      })
      queue.runNext(job.id)
      queue.runOnly(job.id)
    })
    if (ended.error)
      throw new StudioError(ended.error.code, ended.error.message, ended.error.details ? { details: ended.error.details } : {})
    if (interrupted) throw new StudioError('cancelled', 'Ended as asked; what was done is kept.')
    return ended
  } finally {
    for (const name of endSignals) process.off(name, interrupt)
  }
}
