import type { JobState, QueueStatus } from '#contracts/job.ts'

export interface ReferenceJob {
  name: number
  lane: 'cpu' | 'engine'
  state: JobState
  /** Starts without an orderly end. */
  lost: number
}

/** The queue's rules written as plainly as they can be, to hold the real one against. */
export class ReferenceQueue {
  /** In the order of the list. */
  jobs: ReferenceJob[] = []
  mode: QueueStatus['mode'] = 'running'
  savedMode: 'running' | 'paused' = 'running'

  get running(): ReferenceJob[] {
    return this.jobs.filter(({ state }) => state === 'running')
  }

  add(name: number, lane: 'cpu' | 'engine'): void {
    this.jobs.push({ name, lane, state: 'queued', lost: 0 })
    this.#start()
  }

  end(one: ReferenceJob, how: 'done' | 'failed' | 'disk-full' | 'engine-lost'): void {
    if (how === 'engine-lost') one.state = one.lost >= 3 ? 'failed' : 'queued'
    else one.state = how === 'disk-full' ? 'paused' : how
    if (one.state !== 'queued') one.lost = 0
    this.#afterEnd()
  }

  cancel(one: ReferenceJob): void {
    if (!['running', 'queued', 'paused', 'interrupted'].includes(one.state)) return
    this.#leave(one, 'cancelled')
  }

  hold(one: ReferenceJob): void {
    if (one.state === 'running' || one.state === 'queued') this.#leave(one, 'paused')
  }

  goOn(one: ReferenceJob): void {
    if (one.state === 'running' || one.state === 'queued') return
    Object.assign(one, { state: 'queued', lost: 0 })
    this.#start()
  }

  pause(when: 'now' | 'after-current'): void {
    this.savedMode = 'paused'
    this.mode = when === 'after-current' && this.running.length > 0 ? 'pausing' : 'paused'
    if (when === 'now') this.#putBack()
  }

  resume(): void {
    this.mode = this.savedMode = 'running'
    this.#start()
  }

  move(one: ReferenceJob, before: ReferenceJob | null): void {
    if (one === before) return
    this.jobs = this.jobs.filter((other) => other !== one)
    this.jobs.splice(before ? this.jobs.indexOf(before) : this.jobs.length, 0, one)
  }

  runNext(one: ReferenceJob): void {
    const first = this.jobs.find((other) => other.state === 'queued' && other !== one)
    if (first) this.move(one, first)
  }

  clearEnded(): void {
    this.jobs = this.jobs.filter(({ state }) => !['done', 'failed', 'cancelled'].includes(state))
  }

  /** Nothing starts by itself after a crash in the middle of work. */
  crashAndOpen(): void {
    const left = this.running
    for (const one of left) one.state = one.lost >= 3 ? 'failed' : 'interrupted'
    this.mode = left.length > 0 ? 'paused' : this.savedMode
    this.#start()
  }

  closeAndOpen(): void {
    this.#putBack()
    this.mode = this.savedMode
    this.#start()
  }

  #putBack(): void {
    for (const one of this.running) Object.assign(one, { state: 'queued', lost: 0 })
  }

  #leave(one: ReferenceJob, state: JobState): void {
    const ran = one.state === 'running'
    one.state = state
    if (!ran) return
    one.lost = 0
    this.#afterEnd()
  }

  #afterEnd(): void {
    if (this.mode === 'pausing' && this.running.length === 0) this.mode = 'paused'
    this.#start()
  }

  #start(): void {
    if (this.mode !== 'running') return
    for (const lane of ['cpu', 'engine']) {
      if (this.running.some((one) => one.lane === lane)) continue
      const first = this.jobs.find((one) => one.lane === lane && one.state === 'queued')
      if (!first) continue
      first.state = 'running'
      first.lost++
    }
  }
}
