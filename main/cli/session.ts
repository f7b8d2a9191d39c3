import { StudioError } from '#contracts/errors.ts'
import type { Job } from '#contracts/job.ts'
import { compose, type Studio } from '../compose.ts'
import type { Output } from './output.ts'
import { duration } from './output.ts'

const endSignals = ['SIGINT', 'SIGTERM'] as const

/** Runs work on the project in a folder, made there if it is not, and leaves it in good order; Ctrl+C ends the work as the studio's Stop does. */
export async function withProject<T>(folder: string, allowedRoots: readonly string[], work: (studio: Studio) => Promise<T>): Promise<T> {
  const studio = await compose({ host: 'cli', allowedRoots })
  try {
    // What another studio left waiting stays waiting: this command does its own work.
    await studio.openFolder(folder, { create: true, startQueue: false })
    return await work(studio)
  } finally {
    await studio.close()
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
