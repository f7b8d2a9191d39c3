import { StudioError, toWire, type WireError } from '#contracts/errors.ts'
import type { Job, JobKind, JobPayload, JobProgress, JobResult, QueueStatus } from '#contracts/job.ts'
import type { JobId } from '#contracts/project.ts'
import { explainFull } from '../../store/database.ts'
import type { JobStore, Lane } from '../../store/job-store.ts'

/** Does the work of one kind of job. Ends early, in good order, when the signal aborts. */
export type Runner = (job: Job, context: RunContext) => Promise<JobResult>
export interface RunContext {
  signal: AbortSignal
  report: (progress: Omit<JobProgress, 'jobId' | 'secondsLeft'>) => void
}

export interface QueueNews {
  changed(job: Job): void
  progressed(progress: JobProgress): void
  removed(id: JobId): void
  status(status: QueueStatus): void
  warned(message: string): void
}

/** Why a running job is asked to end. */
type Intent = 'cancel' | 'pause' | 'put-back'

const lanes: readonly Lane[] = ['cpu', 'engine']
const reportEveryMs = 250
const keepEveryMs = 2000
const laneOf: Record<JobKind, Lane> = {
  import: 'cpu',
  measure: 'cpu',
  crop: 'cpu',
  scenes: 'cpu',
  clips: 'cpu',
  export: 'cpu',
  caption: 'cpu',
  train: 'engine',
  sample: 'engine',
}
const deviceFailuresInARow = 3
const isLost = (code: WireError['code']): boolean => code === 'engine-lost' || code === 'device-lost'

/** Captions by a model are the engine's work; names and servers need no turn there. */
function laneFor(payload: JobPayload): Lane {
  const byModel = payload.kind === 'caption' && ['tagger', 'blip'].includes(payload.request.captioner.kind)
  return byModel ? 'engine' : laneOf[payload.kind]
}

/**
 * The persistent queue of one project: one job a lane at a time, in the order of the list. Semantics: a job is a frozen copy of its settings; pausing
 * now puts the running jobs back to their place; a job that is lost with the engine is tried again, but not for ever; one that fails does not stop the others.
 */
export class JobQueue {
  readonly #store: JobStore
  readonly #runners: Record<JobKind, Runner>
  readonly #news: QueueNews
  readonly #running = new Map<JobId, { abort: AbortController; intent: Intent | null; ended: Promise<void> }>()
  #mode: QueueStatus['mode']
  #closed = false
  /** Jobs that ended one after the other for want of memory or of a device. */
  #deviceFailures = 0
  /** Ends of jobs that could not be written down yet. */
  #unwritten: (() => void)[] = []

  /** Takes over what a previous studio left. After a crash with work waiting the queue starts paused, so that a job that kills the studio does not do it again. */
  constructor(store: JobStore, runners: Record<JobKind, Runner>, news: QueueNews) {
    this.#store = store
    this.#runners = runners
    this.#news = news
    const crashed = store.fact('closed') === 'no'
    const left = store.reconcile()
    this.#mode = crashed && left.length > 0 ? 'paused' : store.fact('mode') === 'paused' ? 'paused' : 'running'
    store.setFact('closed', 'no')
  }

  get status(): QueueStatus {
    const jobs = this.#store.list()
    return { mode: this.#mode, waiting: jobs.filter(({ state }) => state === 'queued').length, running: this.#running.size }
  }

  list(): Job[] {
    return this.#store.list()
  }

  get(id: JobId): Job {
    const found = this.#store.get(id)
    if (!found) throw new StudioError('not-found', `There is no job "${id}". It may have been cleared from the list.`)
    return found
  }

  add(title: string, payload: JobPayload, retryOf: JobId | null = null): Job {
    const added = this.#store.add(title, payload, laneFor(payload), retryOf)
    this.#tell(added)
    this.pump()
    return added
  }

  /** Starts what can start. */
  pump(): void {
    if (this.#closed || this.#mode !== 'running') return
    for (const lane of lanes) {
      if ([...this.#running.keys()].some((id) => this.#store.get(id)?.lane === lane)) continue
      const claimed = this.#store.claim(lane)
      if (claimed) this.#start(claimed.job, claimed.fence)
    }
  }

  /** Stays paused while this studio is open, without changing what the next one does: the command line does its own work only. */
  standBy(): void {
    this.#mode = 'paused'
  }

  /** Starts the first waiting job of a lane although the queue is paused, when the lane is free. */
  runOnly(id: JobId): void {
    const { lane } = this.get(id)
    if ([...this.#running.keys()].some((other) => this.get(other).lane === lane)) return
    const claimed = this.#store.claim(lane)
    if (claimed) this.#start(claimed.job, claimed.fence)
  }

  pause(when: 'now' | 'after-current'): QueueStatus {
    const stays = when === 'after-current' && this.#running.size > 0
    this.#setMode(stays ? 'pausing' : 'paused')
    if (when === 'now') for (const id of this.#running.keys()) void this.#end(id, 'put-back')
    return this.status
  }

  resume(): QueueStatus {
    this.#writeDown()
    this.#setMode('running')
    this.pump()
    return this.status
  }

  /** Ends a job for good. What a training has reached is kept as a checkpoint. */
  async cancel(id: JobId): Promise<Job> {
    const one = this.get(id)
    if (this.#running.has(id)) await this.#end(id, 'cancel')
    else if (['queued', 'paused', 'interrupted'].includes(one.state)) this.#tell(this.#store.setState(id, 'cancelled'))
    return this.get(id)
  }

  /** Holds one job, keeping what it has done. */
  async hold(id: JobId): Promise<Job> {
    const one = this.get(id)
    if (this.#running.has(id)) await this.#end(id, 'pause')
    else if (one.state === 'queued') this.#tell(this.#store.setState(id, 'paused'))
    return this.get(id)
  }

  /** Goes on with a job that was held, interrupted, cancelled or has failed. */
  goOn(id: JobId): Job {
    const one = this.get(id)
    if (one.state === 'running' || one.state === 'queued') return one
    const again = this.#store.requeue(id, { orderly: true })
    this.#tell(again)
    this.pump()
    return again
  }

  /** A new job with the settings of an old one, linked to it. */
  retry(id: JobId): Job {
    const { title, payload, state } = this.get(id)
    if (state === 'interrupted' || state === 'paused') return this.goOn(id)
    return this.add(title, payload, id)
  }

  move(id: JobId, before: JobId | null): Job {
    for (const one of [id, before]) if (one !== null) this.get(one)
    const moved = id === before ? this.get(id) : this.#store.move(id, before)
    this.#tell(moved)
    return moved
  }

  runNext(id: JobId): Job {
    const first = this.#store.list().find(({ state, id: other }) => state === 'queued' && other !== id)
    return first ? this.move(id, first.id) : this.get(id)
  }

  clearEnded(): void {
    for (const id of this.#store.clearEnded()) this.#news.removed(id)
    this.#news.status(this.status)
  }

  /** Ends in good order: running jobs go back to their place and start again with the next studio. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#running.keys()].map((id) => this.#end(id, 'put-back')))
    try {
      this.#writeDown()
      this.#store.setFact('closed', 'yes')
    } catch (error) {
      this.#standStill(error) // the next studio finds it as after a crash: nothing is lost
    }
  }

  #start(job: Job, fence: number): void {
    const abort = new AbortController()
    let startedMs = performance.now()
    let reportedMs = -Infinity
    let keptMs = -Infinity
    let firstDone: number | null = null
    let unit: JobProgress['unit'] | null = null
    const report: RunContext['report'] = (progress) => {
      const nowMs = performance.now()
      if (unit !== null && unit !== progress.unit) [firstDone, startedMs] = [null, nowMs] // another part of the work has its own pace
      unit = progress.unit
      firstDone ??= progress.done
      const last = progress.done === progress.total
      if (nowMs - reportedMs < reportEveryMs && !last) return
      reportedMs = nowMs
      const pace = (progress.done - firstDone) / ((nowMs - startedMs) / 1000)
      const secondsLeft = progress.total !== null && pace > 0 ? Math.round((progress.total - progress.done) / pace) : null
      const full = { jobId: job.id, secondsLeft, ...progress }
      if (nowMs - keptMs >= keepEveryMs || last) {
        keptMs = nowMs
        try {
          this.#store.progress(job.id, fence, full)
        } catch (error) {
          abort.abort(explainFull(error))
        }
      }
      this.#news.progressed(full)
    }
    const entry = { abort, intent: null as Intent | null, ended: Promise.resolve() }
    this.#running.set(job.id, entry)
    this.#tell(job)
    entry.ended = this.#runners
      [job.payload.kind](job, { signal: abort.signal, report })
      .then((result) => {
        // Nobody asked for it: the index could not be written, which ends the job with that reason.
        if (abort.signal.aborted && entry.intent === null) throw abort.signal.reason as Error
        this.#settle(job, () => this.#finish(job, fence, entry.intent, result))
      })
      .catch((error: unknown) => {
        const reason: unknown = abort.signal.aborted && entry.intent === null ? abort.signal.reason : error
        this.#settle(job, () => this.#fail(job, fence, entry.intent, reason))
      })
  }

  #finish(job: Job, fence: number, intent: Intent | null, result: JobResult): void {
    if (job.lane === 'engine') this.#deviceFailures = 0
    if (intent === null) this.#store.end(job.id, fence, 'done', { result })
    else this.#ended(job, fence, intent, result)
  }

  #fail(job: Job, fence: number, intent: Intent | null, error: unknown): void {
    const wire = toWire(error)
    if (intent !== null && (wire.code === 'cancelled' || isLost(wire.code))) this.#ended(job, fence, intent, null)
    else if (wire.code === 'disk-full') this.#store.end(job.id, fence, 'paused', { error: wire })
    else if (isLost(wire.code) && !this.#store.isPoison(job.id)) this.#store.requeue(job.id, { orderly: false })
    else {
      this.#store.end(job.id, fence, 'failed', { error: wire })
      this.#count(wire)
    }
  }

  /** One job that finds no memory or no device fails alone; where the next ones do not either, going on would only fail them all. */
  #count({ code }: WireError): void {
    if (code !== 'out-of-memory' && code !== 'device-lost') return
    this.#deviceFailures++
    if (this.#deviceFailures < deviceFailuresInARow) return
    this.#deviceFailures = 0
    this.#setMode('paused')
    this.#news.warned(
      `The queue is paused: ${deviceFailuresInARow} jobs one after the other found no memory or no device. Close other programs or choose smaller settings, then go on.`,
    )
  }

  #ended(job: Job, fence: number, intent: Intent, result: JobResult | null): void {
    if (intent === 'put-back') this.#store.requeue(job.id, { orderly: true })
    else this.#store.end(job.id, fence, intent === 'cancel' ? 'cancelled' : 'paused', { result })
  }

  /** Writes down how a job ended and goes on; while the index takes nothing, the queue stands still and knows what it owes. */
  #settle(job: Job, write: () => void): void {
    this.#running.delete(job.id)
    try {
      write()
    } catch (error) {
      this.#unwritten.push(write)
      return this.#standStill(error)
    }
    if (this.#mode === 'pausing' && this.#running.size === 0) this.#mode = 'paused' // written down when it was asked for
    this.#tell(this.get(job.id))
    try {
      this.pump()
    } catch (error) {
      this.#standStill(error)
    }
  }

  #standStill(error: unknown): void {
    this.#mode = 'paused'
    this.#news.warned(toWire(explainFull(error)).message)
    this.#news.status(this.status)
  }

  /** @throws StudioError disk-full while the index still takes nothing. */
  #writeDown(): void {
    try {
      for (let write = this.#unwritten[0]; write; write = this.#unwritten[0]) {
        write()
        this.#unwritten.shift()
      }
    } catch (error) {
      throw explainFull(error)
    }
  }

  #end(id: JobId, intent: Intent): Promise<void> {
    const entry = this.#running.get(id)
    if (!entry) return Promise.resolve()
    entry.intent = intent
    entry.abort.abort(new StudioError('cancelled', 'The job was asked to end.'))
    return entry.ended
  }

  #setMode(mode: QueueStatus['mode']): void {
    this.#mode = mode
    this.#store.setFact('mode', mode === 'running' ? 'running' : 'paused')
    this.#news.status(this.status)
  }

  #tell(job: Job): void {
    this.#news.changed(job)
    this.#news.status(this.status)
  }
}
