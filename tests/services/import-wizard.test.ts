import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ImportDraft } from '#contracts/import-wizard.ts'
import type { Job } from '#contracts/job.ts'
import type { JobId } from '#contracts/project.ts'
import { compose, type Studio } from '#main/compose.ts'
import { resolveMedia } from '#main/host/media-route.ts'
import { SafeFs, type FaultHook } from '#main/store/safe-fs.ts'
import { zip } from '#tests/support/archives.ts'
import { fakeEngine } from '#tests/support/fake-engine.ts'
import { makeCounter } from '#tests/support/made-videos.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'
import { plain, redBlue } from '../fixtures/pictures.ts'

const context = { signal: new AbortController().signal }
const options = { imageSize: 16, background: '#ffffff' }

async function studioIn(folder: string, fault?: FaultHook): Promise<Studio> {
  const studio = await compose({
    host: 'cli',
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: [folder],
    ...(fault ? { fs: new SafeFs(fault) } : {}),
  })
  await studio.openFolder(join(folder, 'project'), { create: true })
  return studio
}

async function ended(studio: Studio, { id }: { id: string }): Promise<Job> {
  const { queue } = studio.context.project()
  for (;;) {
    const now = queue.get(id as JobId)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Four pictures, one of them twice and one broken, and a note. */
async function mixed(): Promise<{ name: string; bytes: Buffer }[]> {
  const red = await plain(20, 20, '#ff0000')
  return [
    { name: 'apple.png', bytes: red },
    { name: 'apple.txt', bytes: Buffer.from('a red apple') },
    { name: 'broken.png', bytes: (await plain(64, 64)).subarray(0, 90) },
    { name: 'notes.md', bytes: Buffer.from('# notes') },
    { name: 'twin.png', bytes: red },
    { name: 'wide boat.png', bytes: await redBlue(40, 20) },
  ]
}

function everyFile(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return Object.fromEntries(
    names.sort().map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  )
}

async function zipped(folder: string): Promise<string> {
  const path = join(folder, 'fruit.zip')
  writeFileSync(path, zip(await mixed()))
  return path
}

describe('a draft of an import', () => {
  const draft = (path: string): ImportDraft => ({
    step: 'options',
    source: { kind: 'file', path, layout: 'plain', originals: 'copy' },
    options: { imageSize: 64, background: '#102030' },
    jobId: null,
  })

  test('is none in a new project, and comes back with the same step and choices after the project was closed and opened', async () => {
    const folder = temporaryFolder()
    const path = await zipped(folder)
    const studio = await studioIn(folder)
    expect(await studio.services['import.draft'](null, context)).toBeNull()
    await studio.services['import.keepDraft'](draft(path), context)
    await studio.close()
    const again = await studioIn(folder)
    expect(await again.services['import.draft'](null, context)).toMatchObject({ ...draft(path), title: path, problem: null })
    await again.services['import.dropDraft'](null, context)
    expect(await again.services['import.draft'](null, context)).toBeNull()
    await again.close()
  })

  test('says in one sentence that its source has gone, and keeps the choices', async () => {
    const folder = temporaryFolder()
    const path = await zipped(folder)
    const studio = await studioIn(folder)
    await studio.services['import.keepDraft'](draft(path), context)
    rmSync(path)
    const resumed = await studio.services['import.draft'](null, context)
    expect(resumed).toMatchObject(draft(path))
    expect(resumed?.problem).toContain('fruit.zip" cannot be read')
    await studio.close()
  })

  test('that is damaged keeps no project from opening', async () => {
    const folder = temporaryFolder()
    await (await studioIn(folder)).close()
    writeFileSync(join(folder, 'project', 'import-draft.json'), '{"step":')
    const studio = await studioIn(folder)
    expect(await studio.services['import.draft'](null, context)).toBeNull()
    await studio.close()
  })

  test('of what was dropped keeps the copy until it is imported, through closing and opening', async () => {
    const folder = temporaryFolder()
    const drop = join(folder, 'project', 'cache', 'staging', '01234567-89ab-cdef-0123-456789abcdef')
    mkdirSync(drop, { recursive: true })
    writeFileSync(join(drop, 'fruit.zip'), zip(await mixed()))
    const first = await studioIn(folder)
    // Sweeping happens when a project is opened: by then the draft must name the drop.
    mkdirSync(drop, { recursive: true })
    writeFileSync(join(drop, 'fruit.zip'), zip(await mixed()))
    await first.services['import.keepDraft']({ ...draft(join(drop, 'fruit.zip')), options }, context)
    await first.close()
    const studio = await studioIn(folder)
    expect(await studio.services['import.draft'](null, context)).toMatchObject({ title: 'fruit.zip', isDropped: true, problem: null })
    const job = await studio.services['import.start'](null, context)
    expect(await ended(studio, job as Job)).toMatchObject({ state: 'done', title: 'fruit.zip' })
    await studio.close()
    expect(readdirSync(join(folder, 'project', 'cache', 'staging'))).toEqual([])
    const after = await studioIn(folder)
    expect((await after.services['dataset.describe'](null, context)).roots).toMatchObject([{ isDropped: true, items: 2, copied: 2 }])
    await after.close()
  })

  test('is at its import while that runs and at the ledger when it has ended', async () => {
    const folder = temporaryFolder()
    const studio = await studioIn(folder)
    await expect(studio.services['import.start'](null, context)).rejects.toMatchObject({ code: 'invalid-request' })
    await studio.services['import.keepDraft']({ ...draft(await zipped(folder)), options }, context)
    await studio.services['queue.pause']({ when: 'now' }, context)
    const job = await studio.services['import.start'](null, context)
    expect(await studio.services['import.draft'](null, context)).toMatchObject({ step: 'import', jobId: job.id })
    await studio.services['queue.resume'](null, context)
    await ended(studio, job)
    expect(await studio.services['import.draft'](null, context)).toMatchObject({ step: 'ledger', jobId: job.id })
    await studio.close()
  })
})

test('files and folders that lie apart become one source, whose names do not hide each other', async () => {
  const folder = temporaryFolder()
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  for (const [path, color] of [
    [a, '#ff0000'],
    [b, '#00ff00'],
  ] as const) {
    mkdirSync(path)
    writeFileSync(join(path, 'one.png'), await plain(20, 20, color))
  }
  const studio = await studioIn(folder)
  const { path } = await studio.services['import.gather']({ paths: [join(a, 'one.png'), join(b, 'one.png'), a] }, context)
  const source = { kind: 'folder', path, originals: 'copy' } as const
  const check = await studio.services['import.check']({ source, options }, context)
  expect(check).toMatchObject({ looked: 3, used: 2, rejected: 1, reasons: [{ reason: 'duplicate' }] })
  await expect(studio.services['import.gather']({ paths: ['/etc/hostname'] }, context)).rejects.toMatchObject({ code: 'bad-source' })
  await studio.close()
})

test('folders are browsed with the archives, lists, pictures and videos in them that can be imported on their own', async () => {
  const folder = temporaryFolder()
  for (const name of ['b.png', 'a.zip', 'list.toml', 'notes.md', '.hidden.png', 'film.mp4']) writeFileSync(join(folder, name), 'x')
  const studio = await studioIn(folder)
  const listing = await studio.services['system.browse']({ path: folder }, context)
  expect(listing.files.map(({ name, kind, sizeBytes }) => [name, kind, sizeBytes])).toEqual([
    ['a.zip', 'archive', 1],
    ['list.toml', 'toml', 1],
    ['b.png', 'picture', 1],
    ['film.mp4', 'video', 1],
  ])
  expect(listing.places.length).toBeGreaterThan(1)
  await studio.close()
})

describe('a check before an import', () => {
  test('tells what an import then does, shows the very pixels that it keeps, and writes nothing', async () => {
    const folder = temporaryFolder()
    const path = await zipped(folder)
    const studio = await studioIn(folder)
    await studio.services['dataset.describe'](null, context)
    const before = everyFile(join(folder, 'project', 'dataset'))
    const source = { kind: 'file', path } as const
    const check = await studio.services['import.check']({ source, options }, context)
    expect(everyFile(join(folder, 'project', 'dataset'))).toEqual(before)
    expect(check).toMatchObject({
      looked: 5,
      total: 5,
      isWhole: true,
      used: 1,
      partial: 1,
      rejected: 3,
      known: 0,
      captions: { own: 1, fromName: 1, none: 0 },
    })
    expect(check.reasons.map(({ state, reason, files, source: name }) => [state, reason, files, name])).toEqual(
      expect.arrayContaining([
        ['rejected', 'corrupt', 1, 'broken.png'],
        ['rejected', 'not-a-picture', 1, 'notes.md'],
        ['rejected', 'duplicate', 1, 'twin.png'],
        ['partial', 'cropped', 1, 'wide boat.png'],
      ]),
    )
    expect(check.pictures.map(({ source: name, caption, width, height }) => [name, caption, width, height])).toEqual([
      ['apple.png', 'a red apple', 20, 20],
      ['wide boat.png', 'wide boat', 40, 20],
    ])
    const shown = await Promise.all(check.pictures.map(({ pictureUrl }) => resolveMedia(studio, pictureUrl, new URLSearchParams())))

    const job = await studio.services['dataset.import']({ source, options }, context)
    expect(await ended(studio, job as Job)).toMatchObject({ result: { totals: { found: 5, used: 1, partial: 1, rejected: 3 } } })
    const { items } = await studio.services['dataset.items']({ offset: 0, limit: 10, text: '' }, context)
    for (const [index, { source: name }] of check.pictures.entries()) {
      const kept = await resolveMedia(studio, `media/item/${items.find((item) => item.source === name)!.id}`, new URLSearchParams())
      expect([name, Buffer.from(shown[index]!.bytes).equals(Buffer.from(kept!.bytes))]).toEqual([name, true])
    }
    expect(await studio.services['import.check']({ source, options }, context)).toMatchObject({ looked: 5, known: 5, used: 0, rejected: 0 })
    await studio.close()
  })

  test('foresees the clips of videos as the import then cuts them, and says why one gives none', async () => {
    const folder = temporaryFolder()
    const films = join(folder, 'films')
    mkdirSync(films)
    makeCounter(join(films, 'long.mp4'), 20)
    makeCounter(join(films, 'short.mp4'), 3)
    writeFileSync(join(films, 'broken.mp4'), 'not a video')
    const studio = await studioIn(folder)
    const source = { kind: 'folder' as const, path: films }
    const clips = { frames: 8, shortest: null, lengthStep: 1, stride: 1, frameRate: null, cutThreshold: null }
    const cut = { ...options, clips }
    const check = await studio.services['import.check']({ source, options: cut }, context)
    expect(check).toMatchObject({ looked: 3, used: 0, partial: 1, rejected: 2, videos: { found: 3, probed: 3, clips: 2, frames: 16 } })
    const why = Object.fromEntries(check.reasons.map(({ reason, source: file, detail }) => [`${reason} ${file}`, detail]))
    expect(Object.keys(why).sort()).toEqual(['frames-dropped long.mp4', 'no-clip short.mp4', 'unsupported-format broken.mp4'])
    expect(why['no-clip short.mp4']).toMatch(/^No clip of 8 frames fits\. 3 of 3 frames are dropped/)
    const job = await ended(studio, await studio.services['dataset.import']({ source, options: cut }, context))
    expect(job.result).toMatchObject({ totals: { found: 3, used: 0, partial: 1, rejected: 2 } })
    const { entries } = await studio.services['dataset.ledger']({ offset: 0, limit: 10, state: null }, context)
    expect(Object.fromEntries(entries.map(({ reason, source: file, detail }) => [`${reason} ${file}`, detail]))).toEqual(why)
    await studio.close()
  })

  test('probes at most eight videos, and counts the others as used', async () => {
    const folder = temporaryFolder()
    const films = join(folder, 'films')
    mkdirSync(films)
    const one = makeCounter(join(films, '00.mp4'), 16)
    for (let i = 1; i < 11; i++) copyFileSync(one, join(films, `${String(i).padStart(2, '0')}.mp4`))
    const studio = await studioIn(folder)
    const check = await studio.services['import.check']({ source: { kind: 'folder', path: films }, options }, context)
    const { probed } = check.videos // fewer where the machine is slow
    expect(probed > 0 && probed <= 8).toBe(true)
    expect(check).toMatchObject({ looked: 11, used: 11, videos: { found: 11, probed, clips: probed, frames: 16 * probed } })
    await studio.close()
  })

  test('looks at no more than 200 files and says that there are more', async () => {
    const folder = temporaryFolder()
    const many = join(folder, 'many')
    mkdirSync(many)
    for (let i = 0; i < 260; i++) writeFileSync(join(many, `${String(i).padStart(3, '0')}.txt.md`), 'x')
    const studio = await studioIn(folder)
    const check = await studio.services['import.check']({ source: { kind: 'folder', path: many }, options }, context)
    expect(check).toMatchObject({ looked: 200, total: 260, isWhole: false, rejected: 200 })
    await studio.close()
  })

  test('weighs a source: its files, their bytes and the room there is for them', async () => {
    const folder = temporaryFolder()
    const path = await zipped(folder)
    const studio = await studioIn(folder)
    const weight = await studio.services['import.weigh']({ kind: 'file', path }, context)
    expect(weight).toMatchObject({ files: 1, sizeBytes: statSync(path).size, isWhole: true })
    expect(weight.freeBytes).toBeGreaterThan(0)
    await studio.close()
  })
})

test('a disk that fills up in the middle pauses the import, and going on after there is room ends it with every file in the ledger', async () => {
  const folder = temporaryFolder()
  let isFull = false
  const studio = await studioIn(folder, (operation, path) => {
    if (isFull && operation === 'write' && path.includes('dataset')) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    return undefined
  })
  await studio.services['import.keepDraft'](
    { step: 'check', source: { kind: 'file', path: await zipped(folder) }, options, jobId: null },
    context,
  )
  isFull = true
  const job = (await studio.services['import.start'](null, context)) as Job
  const paused = await ended(studio, job)
  expect(paused).toMatchObject({ state: 'paused', error: { code: 'disk-full' } })
  expect(paused.error?.message).toContain('The disk is full')
  expect(await studio.services['import.draft'](null, context)).toMatchObject({ step: 'import', jobId: job.id })
  isFull = false
  await studio.services['queue.retry']({ id: job.id }, context)
  expect(await ended(studio, job)).toMatchObject({ state: 'done', result: { totals: { found: 5, used: 1, partial: 1, rejected: 3 } } })
  expect(await studio.services['import.draft'](null, context)).toMatchObject({ step: 'ledger' })
  await studio.close()
})

describe('a source that is elsewhere now', () => {
  test('is offline, stays in the data set, and is taken from its new place once that holds the same files', async () => {
    const folder = temporaryFolder()
    const [old, now, other] = ['old', 'now', 'other'].map((name) => join(folder, name)) as [string, string, string]
    mkdirSync(old)
    mkdirSync(other)
    for (let i = 0; i < 30; i++) {
      writeFileSync(join(old, `${i}.png`), await plain(16, 16, `#${(4096 + i).toString(16).padStart(6, '0')}`))
      writeFileSync(join(other, `${i}.png`), await plain(16, 16, `#ff${(4096 + i).toString(16).padStart(4, '0')}`))
    }
    const studio = await studioIn(folder)
    await ended(studio, await studio.services['dataset.import']({ source: { kind: 'folder', path: old }, options }, context))
    const before = await studio.services['dataset.describe'](null, context)
    renameSync(old, now)
    expect((await studio.services['dataset.describe'](null, context)).roots).toMatchObject([{ root: old, state: 'offline', items: 30 }])

    await expect(studio.services['ledger.locate']({ root: old, path: other }, context)).rejects.toMatchObject({
      code: 'bad-source',
      message: expect.stringContaining('of 24 that were looked for 0 are there as they were') as string,
    })
    await expect(studio.services['ledger.locate']({ root: old, path: '/etc' }, context)).rejects.toMatchObject({ code: 'bad-source' })
    expect(await studio.services['ledger.locate']({ root: old, path: now }, context)).toMatchObject({
      checked: 24,
      same: 24,
      root: { root: old, place: now, state: 'online' },
    })
    const { items } = await studio.services['dataset.items']({ offset: 0, limit: 1, text: '' }, context)
    expect(await resolveMedia(studio, `media/original/${items[0]!.id}`, new URLSearchParams())).not.toBeNull()

    // Reading it again from there finds the same files, not others.
    const job = await ended(studio, await studio.services['ledger.readAgain']({ root: old }, context))
    expect(job).toMatchObject({ state: 'done', result: { totals: { found: 30, used: 30 } } })
    const after = await studio.services['dataset.describe'](null, context)
    expect(after).toMatchObject({ snapshot: before.snapshot, totals: before.totals, roots: [{ root: old, place: now }] })
    await studio.close()
    const again = await studioIn(folder)
    expect((await again.services['dataset.describe'](null, context)).roots).toMatchObject([{ root: old, place: now, state: 'online' }])
    await again.close()
  })
})
