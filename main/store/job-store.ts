import { z } from 'zod'
import type { WireError } from '#contracts/errors.ts'
import { job, type Job, type JobPayload, type JobResult, type JobState } from '#contracts/job.ts'
import type { JobId } from '#contracts/project.ts'
import type { Db } from './database.ts'
import { newId } from './project-folder.ts'

const row = z.object({
  id: z.string(),
  title: z.string(),
  payload: z.string(),
  state: z.string(),
  lane: z.string(),
  position: z.number(),
  attempt: z.number(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  progress: z.string().nullable(),
  result: z.string().nullable(),
  error: z.string().nullable(),
  retryOf: z.string().nullable(),
})

export type Lane = Job['lane']

/** Starts without an orderly end before a job is given up: it would take the studio down again and again. */
export const attemptLimit = 3

/**
 * The queue's table. Every change is on the disk before it is acknowledged. A claim raises the job's fence; whoever holds an older fence can no
 * longer write, so a run that was given up cannot overwrite the one that took its place.
 */
export class JobStore {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  list(): Job[] {
    return this.#db.prepare('SELECT * FROM jobs ORDER BY position, createdAt').all().map(toJob)
  }

  get(id: JobId): Job | null {
    const found = this.#db.prepare('SELECT * FROM jobs WHERE id = ?').get(id)
    return found ? toJob(found) : null
  }

  add(title: string, payload: JobPayload, lane: Lane, retryOf: JobId | null = null): Job {
    const id = newId()
    const position = (this.#number('SELECT max(position) FROM jobs') ?? 0) + 1
    this.#db
      .prepare('INSERT INTO jobs (id, title, payload, state, lane, position, createdAt, retryOf) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(id, title, JSON.stringify(payload), 'queued', lane, position, now(), retryOf)
    return this.get(id as JobId)!
  }

  /** Takes the first waiting job of a lane and counts the attempt as lost, before anything of it is done: an orderly end takes that back. */
  claim(lane: Lane): { job: Job; fence: number } | null {
    const claimed = this.#db
      .prepare(
        `UPDATE jobs SET state = 'running', attempt = attempt + 1, lost = lost + 1, fence = fence + 1, startedAt = ?, endedAt = NULL, error = NULL
         WHERE id = (SELECT id FROM jobs WHERE state = 'queued' AND lane = ? ORDER BY position, createdAt LIMIT 1) RETURNING id, fence`,
      )
      .get(now(), lane) as { id: JobId; fence: number } | undefined
    return claimed ? { job: this.get(claimed.id)!, fence: claimed.fence } : null
  }

  /** False when the job has been claimed again since. */
  end(
    id: JobId,
    fence: number,
    state: JobState,
    { result = null, error = null }: { result?: JobResult | null; error?: WireError | null } = {},
  ): boolean {
    return (
      this.#db
        .prepare('UPDATE jobs SET state = ?, lost = 0, endedAt = ?, result = ?, error = ? WHERE id = ? AND fence = ?')
        .run(state, now(), json(result), json(error), id, fence).changes === 1
    )
  }

  progress(id: JobId, fence: number, progress: Job['progress']): void {
    this.#db.prepare('UPDATE jobs SET progress = ? WHERE id = ? AND fence = ?').run(json(progress), id, fence)
  }

  setState(id: JobId, state: 'paused' | 'cancelled'): Job {
    this.#db.prepare('UPDATE jobs SET state = ?, endedAt = ? WHERE id = ?').run(state, state === 'cancelled' ? now() : null, id)
    return this.get(id)!
  }

  /** Puts a job back among the waiting, in its old place; a claim that still runs loses its fence. `orderly` forgets what was lost before. */
  requeue(id: JobId, { orderly }: { orderly: boolean }): Job {
    this.#db
      .prepare(`UPDATE jobs SET state = 'queued', lost = iif(?, 0, lost), endedAt = NULL, error = NULL, fence = fence + 1 WHERE id = ?`)
      .run(Number(orderly), id)
    return this.get(id)!
  }

  /** Whether a job has been lost so often that it is not started again by itself. */
  isPoison(id: JobId): boolean {
    return (this.#number('SELECT lost FROM jobs WHERE id = ?', id) ?? 0) >= attemptLimit
  }

  /** Places a job before another, or behind all. */
  move(id: JobId, before: JobId | null): Job {
    const behind = before === null ? null : this.get(before)
    const place = this.#db.prepare('UPDATE jobs SET position = ? WHERE id = ?')
    const between = behind ? this.#between(behind.order) : (this.#number('SELECT max(position) FROM jobs') ?? 0) + 1
    this.#db.transaction(() => {
      if (between !== null) return void place.run(between, id)
      const others = this.list().filter((one) => one.id !== id)
      const at = others.findIndex((one) => one.id === before)
      const order = [...others.slice(0, at).map((one) => one.id), id, ...others.slice(at).map((one) => one.id)]
      order.forEach((one, i) => place.run(i + 1, one))
    })()
    return this.get(id)!
  }

  /** What a killed studio left running is interrupted; what was tried too often without an orderly end has failed. */
  reconcile(): Job[] {
    const left = this.list().filter((one) => one.state === 'running')
    const ended = now()
    for (const one of left) {
      const poisoned = this.isPoison(one.id)
      const error = poisoned
        ? {
            code: 'engine-lost',
            message: `The job ended ${attemptLimit} times without a word, with the studio or its engine. It is not started again by itself; retry it when the cause is found.`,
          }
        : null
      this.#db
        .prepare('UPDATE jobs SET state = ?, endedAt = ?, error = ?, fence = fence + 1 WHERE id = ?')
        .run(poisoned ? 'failed' : 'interrupted', ended, json(error), one.id)
    }
    return left.map(({ id }) => this.get(id)!)
  }

  clearEnded(): JobId[] {
    return (this.#db.prepare(`DELETE FROM jobs WHERE state IN ('done', 'failed', 'cancelled') RETURNING id`).all() as { id: JobId }[]).map(
      ({ id }) => id,
    )
  }

  /** A fact of the queue that outlives the studio. */
  fact(name: string): string | null {
    return (this.#db.prepare('SELECT value FROM facts WHERE name = ?').get(name) as { value: string } | undefined)?.value ?? null
  }

  setFact(name: string, value: string): void {
    this.#db
      .prepare('INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')
      .run(name, value)
  }

  /** A position right before another; null when no number is left between the two. */
  #between(position: number): number | null {
    const previous = this.#number('SELECT max(position) FROM jobs WHERE position < ?', position)
    if (previous === null) return position - 1
    const middle = (previous + position) / 2
    return previous < middle && middle < position ? middle : null
  }

  #number(sql: string, ...values: unknown[]): number | null {
    return this.#db
      .prepare(sql)
      .pluck()
      .get(...values) as number | null
  }
}

function toJob(found: unknown): Job {
  const { position, payload, progress, result, error, ...rest } = row.parse(found)
  const parse = (text: string | null): unknown => (text === null ? null : JSON.parse(text))
  return job.parse({
    ...rest,
    order: position,
    payload: parse(payload),
    progress: parse(progress),
    result: parse(result),
    error: parse(error),
  })
}

function json(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value)
}

function now(): string {
  return new Date().toISOString()
}
