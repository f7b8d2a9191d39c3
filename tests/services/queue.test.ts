import fc from 'fast-check'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { StudioError } from '#contracts/errors.ts'
import type { Job, JobPayload, JobResult } from '#contracts/job.ts'
import type { JobId, RunId } from '#contracts/project.ts'
import { JobQueue, type QueueNews, type Runner } from '#main/services/queue/job-queue.ts'
import { openDatabase, type Db } from '#main/store/database.ts'
import { JobStore } from '#main/store/job-store.ts'
import { ReferenceQueue, type ReferenceJob } from '../support/reference-queue.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const sequences = process.env.ZIGMA_LONG ? 20_000 : 2000

const payloads: Record<'cpu' | 'engine', JobPayload> = {
  cpu: { kind: 'import', source: { kind: 'sample' }, options: { imageSize: 32, background: '#ffffff' } },
  engine: { kind: 'train', runId: 'run' as RunId },
}
const result: JobResult = { kind: 'train', step: 1, loss: null }

/** The real queue over a real index, whose jobs run until they are told to end. */
class Subject {
  readonly db: Db
  readonly warnings: string[] = []
  readonly ends = new Map<JobId, { resolve: (result: JobResult) => void; reject: (error: Error) => void }>()
  queue: JobQueue

  constructor(path: string) {
    this.db = openDatabase(path)
    this.queue = this.open()
  }

  open(): JobQueue {
    this.ends.clear()
    const ends = this.ends
    const run: Runner = (job, { signal, report }) =>
      new Promise<JobResult>((resolve, reject) => {
        ends.set(job.id, { resolve, reject })
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        report({ done: 1, total: 1, unit: 'steps', note: null })
      })
    const news: QueueNews = {
      changed: () => undefined,
      progressed: () => undefined,
      removed: () => undefined,
      status: () => undefined,
      warned: (message) => this.warnings.push(message),
    }
    this.queue = new JobQueue(
      new JobStore(this.db),
      { import: run, measure: run, crop: run, scenes: run, clips: run, export: run, caption: run, train: run, sample: run },
      news,
    )
    this.queue.pump()
    return this.queue
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const codes = { failed: 'internal', 'disk-full': 'disk-full', 'engine-lost': 'engine-lost' } as const

type Step =
  | { do: 'add'; lane: 'cpu' | 'engine' }
  | { do: 'end'; which: number; how: 'done' | keyof typeof codes }
  | { do: 'cancel' | 'hold' | 'goOn' | 'runNext'; which: number }
  | { do: 'move'; which: number; before: number | null }
  | { do: 'pause'; when: 'now' | 'after-current' }
  | { do: 'resume' }
  | { do: 'clearEnded' }
  | { do: 'crash' }
  | { do: 'close' }

const which = fc.nat(9)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), lane: fc.constantFrom('cpu' as const, 'engine' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which,
      how: fc.constantFrom('done' as const, 'failed' as const, 'disk-full' as const, 'engine-lost' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'hold' as const, 'goOn' as const, 'runNext' as const), which }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), which, before: fc.option(which) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pause' as const), when: fc.constantFrom('now' as const, 'after-current' as const) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('resume' as const, 'clearEnded' as const, 'crash' as const, 'close' as const) }),
  },
)

/** Does one step with both; what it names is taken round the jobs that are there. */
async function perform(one: Step, real: Subject, model: ReferenceQueue, ids: Map<number, JobId>): Promise<void> {
  const pick = (list: ReferenceJob[], n: number): ReferenceJob | undefined => list[n % Math.max(1, list.length)]
  const { queue } = real
  if (one.do === 'add') {
    const name = ids.size
    ids.set(name, queue.add(`job ${name}`, payloads[one.lane]).id)
    return model.add(name, one.lane)
  }
  if (one.do === 'pause') {
    queue.pause(one.when)
    return model.pause(one.when)
  }
  if (one.do === 'resume') {
    queue.resume()
    return model.resume()
  }
  if (one.do === 'clearEnded') {
    queue.clearEnded()
    return model.clearEnded()
  }
  if (one.do === 'crash') {
    real.open() // the old queue is never heard of again: its jobs do not end
    return model.crashAndOpen()
  }
  if (one.do === 'close') {
    await queue.close()
    real.open()
    return model.closeAndOpen()
  }
  const job = pick(one.do === 'end' ? model.running : model.jobs, one.which)
  if (!job) return
  const id = ids.get(job.name)!
  if (one.do === 'end') {
    if (one.how === 'done') real.ends.get(id)!.resolve(result)
    else real.ends.get(id)!.reject(new StudioError(codes[one.how], 'as the test wants it'))
    return model.end(job, one.how)
  }
  if (one.do === 'move') {
    const before = one.before === null ? null : (pick(model.jobs, one.before) ?? null)
    queue.move(id, before && ids.get(before.name)!)
    return model.move(job, before)
  }
  await queue[one.do](id)
  model[one.do](job)
}

test(`does in ${sequences} random histories, crashes among them, what its rules say`, { timeout: 60 * sequences }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (history) => {
      const real = new Subject(':memory:')
      const model = new ReferenceQueue()
      const ids = new Map<number, JobId>()
      try {
        for (const one of history) {
          await perform(one, real, model, ids)
          await settled()
          expect(real.queue.list().map(({ id, state }) => [id, state])).toEqual(model.jobs.map(({ name, state }) => [ids.get(name), state]))
          expect(real.queue.status).toEqual({
            mode: model.mode,
            waiting: model.jobs.filter(({ state }) => state === 'queued').length,
            running: model.running.length,
          })
        }
      } finally {
        real.db.close()
      }
    }),
    { numRuns: sequences },
  )
})

describe('an index that takes no more', () => {
  /** A job that runs while the index becomes full. */
  async function fullIndex(): Promise<{ real: Subject; job: Job; makeSpace: () => void }> {
    const real = new Subject(join(temporaryFolder(), 'library.db'))
    const job = real.queue.add('a job', payloads.engine)
    real.db.pragma('wal_checkpoint(TRUNCATE)')
    real.db.exec('CREATE TABLE filler (bytes BLOB)')
    real.db.pragma(`max_page_count = ${real.db.pragma('page_count', { simple: true }) as number}`)
    const fill = real.db.prepare('INSERT INTO filler VALUES (zeroblob(?))')
    for (const size of [3000, 300, 30, 3]) {
      try {
        for (;;) fill.run(size)
      } catch {
        // as full as it can be with rows of this size
      }
    }
    const makeSpace = () => {
      real.db.pragma('max_page_count = 1000000')
    }
    return Promise.resolve({ real, job, makeSpace })
  }

  test('makes the queue stand still with a sentence; when there is space, the end of the job is written down', async () => {
    const { real, job, makeSpace } = await fullIndex()
    const error = new StudioError('internal', 'A long sentence about what went wrong. '.repeat(200))
    real.ends.get(job.id)!.reject(error)
    await settled()
    expect(real.warnings).toEqual([expect.stringContaining("The disk is full: the project's index could not be written.")])
    expect(real.queue.status).toMatchObject({ mode: 'paused', running: 0 })
    expect(() => real.queue.resume()).toThrow('The disk is full')
    makeSpace()
    real.queue.resume()
    expect(real.queue.get(job.id)).toMatchObject({ state: 'failed', error: { message: error.message } })
    expect(real.queue.status.mode).toBe('running')
  })

  test('does not accept a job that it cannot keep', async () => {
    const { real } = await fullIndex()
    expect(() => real.queue.add('x'.repeat(9000), payloads.engine)).toThrow()
    expect(real.queue.list()).toHaveLength(1)
  })
})

test('a job can be moved between the same two a thousand times', () => {
  const { queue } = new Subject(':memory:')
  queue.pause('now')
  const [a, b, c] = ['a', 'b', 'c'].map((title) => queue.add(title, payloads.cpu).id) as [JobId, JobId, JobId]
  for (let i = 0; i < 500; i++) {
    queue.move(b, c)
    queue.move(a, c)
    expect(queue.list().map(({ title }) => title)).toEqual(['b', 'a', 'c'])
    queue.move(b, c)
    expect(queue.list().map(({ title }) => title)).toEqual(['a', 'b', 'c'])
  }
})

test('what is not in the list cannot be moved, and nothing can be moved before it', () => {
  const { queue } = new Subject(':memory:')
  const { id } = queue.add('a', payloads.cpu)
  expect(() => queue.move('gone' as JobId, null)).toThrow('There is no job "gone"')
  expect(() => queue.move(id, 'gone' as JobId)).toThrow('There is no job "gone"')
})

test('a run that was given up cannot overwrite the one that took its place', () => {
  const store = new JobStore(openDatabase(':memory:'))
  const { id } = store.add('a', payloads.cpu, 'cpu')
  const first = store.claim('cpu')!
  store.reconcile()
  store.requeue(id, { orderly: true })
  const second = store.claim('cpu')!
  expect(store.end(id, first.fence, 'failed')).toBe(false)
  store.progress(id, first.fence, { jobId: id, done: 9, total: 9, unit: 'files', secondsLeft: null, note: null })
  expect(store.get(id)).toMatchObject({ state: 'running', attempt: 2, progress: null })
  expect(store.end(id, second.fence, 'done')).toBe(true)
})

test('one job without memory fails alone; after three in a row the queue waits for someone, who is told', async () => {
  const subject = new Subject(join(temporaryFolder(), 'index.db'))
  const { queue } = subject
  const jobs = Array.from({ length: 6 }, (_, i) => queue.add(`training ${i}`, payloads.engine))
  const end = async (index: number, error: StudioError | null) => {
    const { resolve, reject } = subject.ends.get(jobs[index]!.id)!
    if (error) reject(error)
    else resolve(result)
    await settled()
  }
  const noMemory = new StudioError('out-of-memory', 'There was not enough memory.')
  await end(0, noMemory)
  expect(queue.get(jobs[0]!.id)).toMatchObject({ state: 'failed', error: { code: 'out-of-memory' } })
  await end(1, null)
  await end(2, noMemory)
  await end(3, noMemory)
  expect(queue.status.mode).toBe('running')
  await end(4, noMemory)
  expect(queue.status).toMatchObject({ mode: 'paused', waiting: 1 })
  expect(subject.warnings).toEqual([expect.stringContaining('3 jobs one after the other found no memory')])
  subject.db.close()
})

test('a job whose device is lost is tried again, and given up after three times', async () => {
  const subject = new Subject(join(temporaryFolder(), 'index.db'))
  const job = subject.queue.add('training', payloads.engine)
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect(subject.queue.get(job.id)).toMatchObject({ state: 'running', attempt })
    subject.ends.get(job.id)!.reject(new StudioError('device-lost', 'The GPU stopped working.'))
    await settled()
  }
  expect(subject.queue.get(job.id)).toMatchObject({ state: 'failed', error: { code: 'device-lost' } })
  subject.db.close()
})

test('each part of a job has a pace of its own: encoding pictures for long says nothing of the steps that follow', async () => {
  const db = openDatabase(join(temporaryFolder(), 'library.db'))
  const heard: (number | null)[] = []
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  let stepsMs = 0
  const run: Runner = async (_job, { report }) => {
    report({ done: 0, total: 10, unit: 'pictures', note: 'encode' })
    await wait(900)
    report({ done: 10, total: 10, unit: 'pictures', note: 'encode' })
    await wait(260)
    const startedMs = performance.now()
    report({ done: 0, total: 100, unit: 'steps', note: null })
    await wait(260)
    report({ done: 10, total: 100, unit: 'steps', note: null })
    stepsMs = performance.now() - startedMs
    return result
  }
  let ended = () => undefined as void
  const end = new Promise<void>((resolve) => (ended = resolve))
  const news: QueueNews = {
    changed: ({ state }) => void (state === 'done' && ended()),
    progressed: ({ secondsLeft }) => heard.push(secondsLeft),
    removed: () => undefined,
    status: () => undefined,
    warned: () => undefined,
  }
  const queue = new JobQueue(
    new JobStore(db),
    { import: run, measure: run, crop: run, scenes: run, clips: run, export: run, caption: run, train: run, sample: run },
    news,
  )
  queue.add('both', payloads.engine)
  await end
  expect(heard.at(-1)).toBeLessThanOrEqual(Math.ceil((9 * stepsMs) / 1000))
  await queue.close()
  db.close()
})
