import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { GenerationRequest } from '#contracts/gallery.ts'
import type { Job } from '#contracts/job.ts'
import type { RunId } from '#contracts/project.ts'
import { presets } from '#engine/presets.ts'
import { compose, type Studio } from '#main/compose.ts'
import { readPictureRecord } from '#main/media/write-image.ts'
import { SafeFs, type FaultHook } from '#main/store/safe-fs.ts'
import { readFileSync } from 'node:fs'
import { fakeEngine, type FakeEngine } from '../support/fake-engine.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const context = { signal: new AbortController().signal }
const tiny = { ...presets[0]!.recipe, steps: 3 }

async function studioIn(folder: string, engine: FakeEngine = fakeEngine(), fault?: FaultHook): Promise<Studio> {
  return compose({
    host: 'cli',
    launchEngine: engine.launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: [folder],
    ...(fault ? { fs: new SafeFs(fault) } : {}),
  })
}

async function ended(studio: Studio, job: { id: string }): Promise<Job> {
  const { queue } = studio.context.project()
  for (;;) {
    const now = queue.list().find(({ id }) => id === job.id)!
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

async function pictures(folder: string, count: number): Promise<string> {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < count; i++) {
    writeFileSync(
      join(folder, `color ${i}.png`),
      await sharp({ create: { width: 16, height: 16, channels: 3, background: { r: i * 9, g: 100, b: 7 } } })
        .png()
        .toBuffer(),
    )
  }
  return folder
}

async function trained(studio: Studio, folder: string): Promise<RunId> {
  await studio.services['projects.create']({ name: 'Study' }, context)
  const source = await pictures(join(folder, 'source'), 3)
  const job = await studio.services['dataset.import'](
    { source: { kind: 'folder', path: source }, options: { imageSize: 32, background: '#ffffff' } },
    context,
  )
  expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { totals: { found: 3, used: 3 } } })
  const run = await studio.services['training.start']({ name: 'first', recipe: tiny }, context)
  expect(await ended(studio, { id: run.jobId! })).toMatchObject({ state: 'done' })
  return run.id as RunId
}

const everything = { text: '', minRating: 0, pick: null, trashed: false, offset: 0, limit: 10 } as const

const request = (runId: RunId, over: Partial<GenerationRequest> = {}): GenerationRequest => ({
  model: { runId, step: null, weights: 'ema' },
  prompt: 'a red apple, 红苹果',
  negativePrompt: '',
  seed: 40,
  count: 3,
  steps: 2,
  sampler: 'euler',
  cfgScale: 3,
  ...over,
})

describe('a studio', () => {
  test('walks the whole road: create, import, train, draw, and the pictures are in the gallery with their settings', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    const runId = await trained(studio, folder)
    const job = await studio.services['generation.enqueue'](request(runId), context)
    expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { pictures: 3 } })
    const { total, items } = studio.context
      .project()
      .gallery.list({ text: '红', minRating: 0, pick: null, trashed: false, offset: 0, limit: 10 })
    expect(total).toBe(3)
    expect(items.map(({ settings }) => settings.seed).sort()).toEqual([40, 41, 42])
    const record = readPictureRecord(readFileSync(studio.context.project().pictureFile(items[0]!.id)!))
    expect(record).toMatchObject({ id: items[0]!.id, settings: { prompt: 'a red apple, 红苹果', steps: 2 } })
    await studio.close()
  })

  test('finds everything again after it was closed, and builds its index anew from the files when that is gone', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    const runId = await trained(studio, folder)
    await ended(studio, await studio.services['generation.enqueue'](request(runId), context))
    const { items: drawn } = await studio.services['gallery.list'](everything, context)
    const ids = drawn.map(({ id }) => id as never) as [never, never, never]
    await studio.services['gallery.rate']({ target: { kind: 'ids', ids: [ids[0], ids[1]] }, rating: 4 }, context)
    await studio.services['gallery.rate']({ target: { kind: 'ids', ids: [ids[0]] }, pick: 'pick' }, context)
    await studio.services['gallery.trash']({ target: { kind: 'ids', ids: [ids[2]] } }, context)
    const before = await studio.services['gallery.list'](everything, context)
    const root = studio.context.project().folder.root
    await studio.close()
    for (const name of readdirSync(root).filter((one) => one.startsWith('library.db'))) writeFileSync(join(root, name), '')

    const again = await studioIn(folder)
    await again.openFolder(root)
    expect(await again.services['gallery.list'](everything, context)).toEqual(before)
    expect(before.items).toMatchObject([
      { rating: 4, pick: 'pick' },
      { rating: 4, pick: 'none' },
    ])
    expect((await again.services['gallery.list']({ ...everything, trashed: true }, context)).items).toMatchObject([{ id: ids[2] }])
    const [run] = await again.services['training.runs'](null, context)
    expect(run).toMatchObject({ id: runId, name: 'first', recipe: tiny })
    const resumed = await again.services['training.resume']({ runId }, context)
    expect(await ended(again, { id: resumed.jobId! })).toMatchObject({ state: 'done' })
    expect((await again.services['dataset.describe'](null, context)).items).toBe(3)
    await again.close()
  })

  test('goes on with a job whose engine was lost, drawing only what is missing', async () => {
    const folder = temporaryFolder()
    const engine: FakeEngine = fakeEngine((server) => ({
      'engine.sample': async ({ runFolder, indices, request: { seed } }) => {
        for (const index of indices) {
          server().publish('engine.drew', {
            runFolder,
            index,
            seed: seed + index,
            step: 1,
            checkpointHash: 'f'.repeat(64),
            width: 8,
            height: 8,
            rgb: new Uint8Array(192),
          })
          await new Promise((resolve) => setTimeout(resolve, 30))
          if (index === 1 && engine.starts < 3) engine.die()
        }
        return { checkpointHash: 'f'.repeat(64), step: 1, pictures: indices.length }
      },
    }))
    const studio = await studioIn(folder, engine)
    const runId = await trained(studio, folder)
    const before = engine.starts
    const job = await studio.services['generation.enqueue'](request(runId, { count: 4 }), context)
    expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { pictures: 4 } })
    expect(engine.starts).toBeGreaterThan(before)
    expect(
      (await studio.services['gallery.list']({ text: '', minRating: 0, pick: null, trashed: false, offset: 0, limit: 10 }, context)).total,
    ).toBe(4)
    await studio.close()
  })

  test('gives up a job that takes its engine down each time, and goes on with the next', async () => {
    const folder = temporaryFolder()
    const engine: FakeEngine = fakeEngine({
      'engine.sample': ({ indices, request: { prompt } }) => {
        if (prompt === 'poison') engine.die()
        return Promise.resolve({ checkpointHash: 'f'.repeat(64), step: 1, pictures: indices.length })
      },
    })
    const studio = await studioIn(folder, engine)
    const runId = await trained(studio, folder)
    const poison = await studio.services['generation.enqueue'](request(runId, { prompt: 'poison' }), context)
    const next = await studio.services['generation.enqueue'](request(runId), context)
    expect(await ended(studio, poison)).toMatchObject({ state: 'failed', attempt: 3, error: { code: 'engine-lost' } })
    expect(await ended(studio, next)).toMatchObject({ state: 'done' })
    await studio.close()
  })

  test('pauses a job in good order when the disk is full, and ends it after space is made', async () => {
    const folder = temporaryFolder()
    let full = false
    const studio = await studioIn(folder, fakeEngine(), (operation) => {
      if (full && operation === 'write') throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      return undefined
    })
    const runId = await trained(studio, folder)
    full = true
    const job = await studio.services['generation.enqueue'](request(runId), context)
    expect(await ended(studio, job)).toMatchObject({
      state: 'paused',
      error: { code: 'disk-full', message: expect.stringContaining('The disk is full') as string },
    })
    full = false
    await studio.services['queue.retry']({ id: job.id as never }, context)
    expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { pictures: 3 } })
    await studio.close()
  })

  test.each([
    ['import', 'write'],
    ['import', 'open'],
    ['training', 'write'],
  ])('pauses an %s in good order when the disk is full at a file %s, and ends it after space is made', async (what, wanted) => {
    const folder = temporaryFolder()
    let full = false
    // "Trains" by writing a sample, as the real one's news do, until it is told to end.
    const engine: FakeEngine = fakeEngine((server) => ({
      'engine.train': async ({ runFolder, recipe }, { signal }) => {
        server().publish('engine.sampled', { runFolder, step: 1, index: 0, prompt: 'a', width: 1, height: 1, rgb: new Uint8Array(3) })
        while (full && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1))
        return { step: 1, loss: 0.5, finished: recipe.steps === 1 }
      },
    }))
    const studio = await studioIn(folder, engine, (operation) => {
      if (full && operation === wanted) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      return undefined
    })
    const runId = await trained(studio, folder)
    const { items } = await studio.services['dataset.describe'](null, context)
    const source = await pictures(join(folder, 'more'), 5)
    const start = async (): Promise<{ id: string }> =>
      what === 'import'
        ? studio.services['dataset.import'](
            { source: { kind: 'folder', path: source }, options: { imageSize: 32, background: '#ffffff' } },
            context,
          )
        : { id: (await studio.services['training.resume']({ runId }, context)).jobId! }
    full = true
    const job = await start()
    expect(await ended(studio, job)).toMatchObject({
      state: 'paused',
      error: { code: 'disk-full', message: expect.stringContaining('The disk is full') as string },
    })
    expect((await studio.services['dataset.describe'](null, context)).items).toBeGreaterThanOrEqual(items)
    full = false
    await studio.services['queue.retry']({ id: job.id as never }, context)
    expect(await ended(studio, job)).toMatchObject({ state: 'done', error: null })
    if (what === 'import') expect((await studio.services['dataset.describe'](null, context)).items).toBe(items + 2) // three of the five are there already
    await studio.close()
  })

  test('does not open a project that is open in another studio, and does so when it was closed there', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    await studio.services['projects.create']({ name: 'Study' }, context)
    const { root } = studio.context.project().folder
    const other = await studioIn(folder)
    await expect(other.openFolder(root)).rejects.toMatchObject({
      code: 'project-locked',
      message: expect.stringContaining('is open in another studio') as string,
    })
    await studio.close()
    await other.openFolder(root)
    await other.close()
  })

  test('opens a project once, however often that is asked for at the same time', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    const [one, two] = await Promise.all([
      studio.services['projects.create']({ name: 'One' }, context),
      studio.services['projects.create']({ name: 'Two' }, context),
    ])
    const ids = [one, two, one, one, two].map(({ id }) => id as never)
    await Promise.all(ids.map((id) => studio.services['projects.open']({ id }, context)))
    expect(await studio.services['projects.current'](null, context)).toMatchObject({ name: 'Two' })
    const other = await studioIn(folder)
    await other.openFolder(one.folder)
    await expect(other.openFolder(two.folder)).rejects.toMatchObject({ code: 'project-locked' })
    await other.close()
    await studio.close()
  })

  test('goes on with a run whose job was cleared from the list', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    const runId = await trained(studio, folder)
    await studio.services['queue.clearEnded'](null, context)
    expect(await studio.services['training.stop']({ runId }, context)).toMatchObject({ state: 'finished' })
    const run = await studio.services['training.resume']({ runId }, context)
    expect(await ended(studio, { id: run.jobId! })).toMatchObject({ state: 'done', title: 'first' })
    expect(await studio.services['training.runs'](null, context)).toMatchObject([{ id: runId, state: 'finished' }])
    await studio.close()
  })

  test('moves a project to the trash and back, and renames it, with everything in it', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    await trained(studio, folder)
    const { id } = (await studio.services['projects.current'](null, context))!
    await studio.services['projects.trash']({ id: id as never }, context)
    expect(await studio.services['projects.list'](null, context)).toMatchObject([{ trashed: true, open: false }])
    await studio.services['projects.restore']({ id: id as never }, context)
    await studio.services['projects.rename']({ id: id as never, name: 'Étude / 2' }, context)
    await studio.services['projects.open']({ id: id as never }, context)
    expect(await studio.services['projects.current'](null, context)).toMatchObject({ name: 'Étude / 2', trashed: false, open: true })
    expect((await studio.services['dataset.describe'](null, context)).items).toBe(3)
    await studio.close()
  })

  test.each([
    ['a folder that is not there', '/no/such/folder', 'cannot be read'],
    ['a folder outside its roots', '/etc', 'lies outside the folders this studio may read'],
  ])('says in one sentence why %s is not imported', async (_what, path, sentence) => {
    const studio = await studioIn(temporaryFolder())
    await studio.services['projects.create']({ name: 'Study' }, context)
    await expect(
      studio.services['dataset.import']({ source: { kind: 'folder', path }, options: { imageSize: 32, background: '#ffffff' } }, context),
    ).rejects.toMatchObject({ code: 'bad-source', message: expect.stringContaining(sentence) as string })
    await studio.close()
  })
})

describe('a path that is dropped', () => {
  test('is recognized and imported, whatever holds the pictures, with copies and beyond the loss of its disk', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    const source = await pictures(join(folder, '5_red cat'), 2)
    execFileSync('tar', ['-czf', join(folder, 'cats.tgz'), '-C', folder, '5_red cat'])
    const path = join(folder, 'cats.tgz')
    expect(await studio.services['dataset.recognize']({ kind: 'file', path }, context)).toEqual({
      container: 'tar',
      layout: 'kohya',
      description: 'a tar archive in the layout of kohya, whose folders say how often their pictures are shown',
    })
    await studio.services['projects.create']({ name: 'Cats' }, context)
    const options = { imageSize: 16, background: '#ffffff' }
    const job = await studio.services['dataset.import']({ source: { kind: 'file', path, originals: 'copy' }, options }, context)
    expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { totals: { found: 2, used: 2 } } })
    rmSync(path)
    rmSync(source, { recursive: true })
    const { items, roots } = await studio.services['dataset.describe'](null, context)
    expect([items, roots]).toMatchObject([2, [{ root: path, state: 'offline', found: 2, items: 2, copied: 2 }]])
    await studio.close()
  })

  test.each(['/etc', '/etc/passwd', '../../../etc/passwd'])(
    'is not looked at outside the folders that the studio may read: %s',
    async (path) => {
      const folder = temporaryFolder()
      const studio = await studioIn(folder)
      await expect(studio.services['dataset.recognize']({ kind: 'file', path: resolve(folder, path) }, context)).rejects.toMatchObject({
        code: 'bad-source',
      })
      await studio.close()
    },
  )
})

describe('the queue', () => {
  const never = () => new Promise<never>(() => undefined)
  async function holding(): Promise<{ studio: Studio; runId: RunId; release: () => void }> {
    const folder = temporaryFolder()
    let release: () => void = () => undefined
    const engine = fakeEngine({
      'engine.sample': ({ indices, request: { prompt } }, { signal }) =>
        prompt === 'wait'
          ? Promise.race([
              never(),
              new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
              new Promise<{ checkpointHash: string; step: number; pictures: number }>(
                (resolve) => (release = () => resolve({ checkpointHash: 'f'.repeat(64), step: 1, pictures: 0 })),
              ),
            ])
          : Promise.resolve({ checkpointHash: 'f'.repeat(64), step: 1, pictures: indices.length }),
    })
    const studio = await studioIn(folder, engine)
    return { studio, runId: await trained(studio, folder), release: () => release() }
  }

  test('runs jobs of one lane one after the other, in the order of the list', async () => {
    const { studio, runId } = await holding()
    const first = await studio.services['generation.enqueue'](request(runId, { prompt: 'wait' }), context)
    const second = await studio.services['generation.enqueue'](request(runId), context)
    const third = await studio.services['generation.enqueue'](request(runId), context)
    const { queue } = studio.context.project()
    expect(
      queue
        .list()
        .slice(-3)
        .map(({ state }) => state),
    ).toEqual(['running', 'queued', 'queued'])
    queue.runNext(third.id as never)
    expect(
      queue
        .list()
        .filter(({ state }) => state === 'queued')
        .map(({ id }) => id),
    ).toEqual([third.id, second.id])
    await queue.cancel(first.id as never)
    expect(queue.get(first.id as never).state).toBe('cancelled')
    expect(await ended(studio, second)).toMatchObject({ state: 'done' })
    await studio.close()
  })

  test('pausing now puts the running job back to its place; going on starts it again', async () => {
    const { studio, runId, release } = await holding()
    const job = await studio.services['generation.enqueue'](request(runId, { prompt: 'wait' }), context)
    const { queue } = studio.context.project()
    queue.pause('now')
    await expect.poll(() => queue.get(job.id as never).state).toBe('queued')
    expect(queue.status).toMatchObject({ mode: 'paused', waiting: 1, running: 0 })
    queue.resume()
    expect(queue.get(job.id as never)).toMatchObject({ state: 'running', attempt: 2 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    release()
    expect(await ended(studio, job)).toMatchObject({ state: 'done' })
    await studio.close()
  })

  test('comes back as it was: what ran is put back, what waited waits, and a paused queue stays paused', async () => {
    const { studio, runId } = await holding()
    await studio.services['generation.enqueue'](request(runId, { prompt: 'wait' }), context)
    await studio.services['generation.enqueue'](request(runId), context)
    studio.context.project().queue.pause('after-current')
    const root = studio.context.project().folder.root
    await studio.close()
    const again = await studioIn(join(root, '..', '..'))
    await again.openFolder(root)
    expect(again.context.project().queue.status).toMatchObject({ mode: 'paused', waiting: 2 })
    await again.close()
  })
})
