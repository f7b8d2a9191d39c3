import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { captionerChoice, captionRules, type CaptionerChoice } from '#contracts/captioning.ts'
import type { CurationItem } from '#contracts/curation.ts'
import type { Job } from '#contracts/job.ts'
import type { JobId } from '#contracts/project.ts'
import { compose, type Studio } from '#main/compose.ts'
import { openPicture } from '#main/media/picture.ts'
import { CaptionError } from '#main/services/captioning/captioner.ts'
import { serverCaptioner } from '#main/services/captioning/server-captioner.ts'
import { plain } from '../fixtures/pictures.ts'
import { sayCaption, startCaptionServer, type CaptionServer } from '../support/caption-server.ts'
import { fakeEngine } from '../support/fake-engine.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folder = temporaryFolder()
const call = { signal: new AbortController().signal }
const everything = { kind: 'query' as const, filter: { text: '', buckets: [] }, except: [] }
const rules = (over: object = {}) => captionRules.parse(over)
const names = captionerChoice.parse({ kind: 'names' })
let server: CaptionServer
let studio: Studio
let projects = 0

const byServer = (over: object = {}) =>
  captionerChoice.parse({ kind: 'server', address: server.address, model: 'tiny-vision', ...over }) as Extract<
    CaptionerChoice,
    { kind: 'server' }
  >
const items = async () =>
  (
    await studio.services['curation.query'](
      { filter: { text: '', buckets: [] }, sort: 'source', descending: false, offset: 0, limit: 100 },
      call,
    )
  ).items as CurationItem[]
const captions = async () => (await items()).map(({ caption }) => caption)
const caption = (captioner: CaptionerChoice, over: object = {}, target: typeof everything = everything) =>
  studio.services['captioning.run']({ target, captioner, rules: rules(over) }, call)

async function ended(job: { id: string }): Promise<Job> {
  for (;;) {
    const now = studio.context.project().queue.get(job.id as JobId)
    if (!['queued', 'running'].includes(now.state)) return now
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

beforeAll(async () => {
  server = await startCaptionServer()
  mkdirSync(join(folder, 'barnyard', 'red barn'), { recursive: true })
  const written = { 'IMG_0001.png': null, 'my cat.png': null, 'red barn/a.png': null, 'told.png': 'what I wrote myself' }
  for (const [i, [name, text]] of Object.entries(written).entries()) {
    writeFileSync(join(folder, 'barnyard', name), await plain(40 + i, 30, `#${i}${i}2040`))
    if (text) writeFileSync(join(folder, 'barnyard', name.replace('.png', '.txt')), text)
  }
  studio = await compose({
    host: 'cli',
    launchEngine: fakeEngine().launch,
    settingsFolder: join(folder, 'settings'),
    projectsFolder: join(folder, 'projects'),
    allowedRoots: [folder],
  })
})
afterAll(async () => {
  await studio.close()
  await server.close()
})
beforeEach(() => {
  Object.assign(server, { asked: [], mostAtOnce: 0, manners: 'a thing seen' })
})
/** A project of its own with the four pictures. */
async function freshProject(): Promise<void> {
  await studio.services['projects.create']({ name: `Captions ${projects++}` }, call)
  const source = { kind: 'folder' as const, path: join(folder, 'barnyard') }
  await ended(await studio.services['dataset.import']({ source, options: { imageSize: 16, background: '#ffffff' } }, call))
}

describe('captions from names', () => {
  beforeEach(freshProject)

  test('fill what the import only took from names, leave what people wrote, and are one edit that is undone as one', async () => {
    const before = await items()
    expect(before.map((one) => one.caption)).toEqual(['IMG', 'my cat', 'a', 'what I wrote myself'])
    const job = await ended(await caption(names))
    expect(job).toMatchObject({ state: 'done', result: { kind: 'caption', described: 4, changed: 4, failed: 0 } })
    expect(await captions()).toEqual(['barnyard', 'my cat, barnyard', 'a, red barn', 'what I wrote myself'])
    expect((await items()).map(({ tags }) => tags)[2]).toEqual(['barnyard', 'red barn'])
    expect((await studio.services['curation.history'](null, call)).undo).toMatchObject({ kind: 'caption', items: 4 })
    await studio.services['curation.undo'](null, call)
    expect(await items()).toEqual(before)
    await studio.services['curation.redo'](null, call)
    expect((await captions())[2]).toBe('a, red barn')
  })

  test('are previewed on a few items without a change, and say where what people wrote is kept', async () => {
    const preview = await studio.services['captioning.preview']({ target: everything, captioner: names, rules: rules(), items: 4 }, call)
    expect(preview.matched).toBe(4)
    const told = preview.examples.find(({ source }) => source === 'told.png')
    expect(told).toMatchObject({ kept: true, after: { caption: 'what I wrote myself' }, said: { caption: 'told, barnyard' } })
    expect((await studio.services['curation.history'](null, call)).undo).toBeNull()
  })

  test('are told in the journal and on the card of the data set with who made them', async () => {
    await ended(await caption(names))
    const journal = readFileSync(join(studio.context.project().folder.dataset, 'curation.jsonl'), 'utf8')
    expect(JSON.parse(journal.trim())).toMatchObject({
      edit: 'caption',
      by: { kind: 'names', hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    })
    const { markdown } = await studio.services['curation.card'](null, call)
    expect(markdown).toMatch(/\| file names \([0-9a-f]{12}\) \| 3 \|/)
  })
})

describe('captions from a server', () => {
  beforeEach(freshProject)

  test('are asked for with the picture as a JPEG, and what people wrote is not even asked for', async () => {
    const job = await ended(await caption(byServer({ prompt: 'Say what it is.' })))
    expect(job).toMatchObject({ state: 'done', lane: 'cpu', result: { described: 3, changed: 3 } })
    expect(await captions()).toEqual(['a thing seen', 'a thing seen', 'a thing seen', 'what I wrote myself'])
    expect(server.asked).toHaveLength(3)
    const { method, path, authorization, body } = server.asked[0]!
    expect({ method, path, authorization }).toEqual({ method: 'POST', path: '/v1/chat/completions', authorization: undefined })
    expect(body).toMatchObject({ model: 'tiny-vision', stream: false, messages: [{ role: 'user' }] })
    const [text, picture] = body.messages[0]!.content
    expect(text).toEqual({ type: 'text', text: 'Say what it is.' })
    const [, base64] = /^data:image\/jpeg;base64,(.+)$/.exec(picture!.image_url!.url)!
    expect(await openPicture(Buffer.from(base64!, 'base64')).metadata()).toMatchObject({ format: 'jpeg', width: 40, height: 30 })
  })

  test('keep the key in a file of the settings that only its owner reads, and send it to that server alone', async () => {
    await studio.services['captioning.setKey']({ address: server.address, key: 'sk-very-secret' }, call)
    expect(await studio.services['captioning.hasKey']({ address: `${server.address}/v1` }, call)).toBe(true)
    expect(await studio.services['captioning.hasKey']({ address: 'http://127.0.0.1:1' }, call)).toBe(false)
    expect(statSync(join(folder, 'settings', 'caption-keys.json')).mode & 0o777).toBe(0o600)
    const job = await ended(await caption(byServer()))
    expect(server.asked[0]!.authorization).toBe('Bearer sk-very-secret')
    expect(JSON.stringify(job)).not.toContain('secret')
    const project = studio.context.project().folder.root
    for (const name of readdirSync(project, { recursive: true, encoding: 'utf8' }))
      if (statSync(join(project, name)).isFile()) expect(readFileSync(join(project, name)).includes('very-secret'), name).toBe(false)
    await studio.services['captioning.setKey']({ address: server.address, key: null }, call)
    await ended(await caption(byServer({ prompt: 'again' }), { caption: 'replace' }))
    expect(server.asked.at(-1)!.authorization).toBeUndefined()
  })

  test('replace what captioners wrote before, and never what people wrote unless told', async () => {
    await ended(await caption(byServer()))
    server.manners = 'something better'
    await ended(await caption(byServer(), { caption: 'replace' }))
    expect(await captions()).toEqual(['something better', 'something better', 'something better', 'what I wrote myself'])
    await ended(await caption(byServer(), { caption: 'replace', overHandwritten: true }))
    expect((await captions())[3]).toBe('something better')
  })

  test('that fail for one picture are listed with the reason, and the others go on', async () => {
    server.manners = (response, { body }) =>
      body.messages[0]!.content[1]!.image_url!.url.length > 0 && server.asked.length === 2
        ? sayCaption(response, '  ')
        : sayCaption(response, 'seen')
    const { result } = await ended(await caption(byServer()))
    expect(result).toMatchObject({ described: 2, changed: 2, failed: 1, failures: [{ reason: 'The model said nothing of this picture.' }] })
  })

  test('of a job that was ended go on where it was, ask nothing twice and are one edit', async () => {
    server.manners = (response) => void (server.asked.length < 3 ? sayCaption(response, `answer ${server.asked.length}`) : undefined)
    const job = await caption(byServer())
    await expect.poll(() => server.asked.length, { timeout: 5000 }).toBe(3)
    const { queue } = studio.context.project()
    await queue.cancel(job.id as JobId)
    expect(queue.get(job.id as JobId).state).toBe('cancelled')
    expect(await captions()).toEqual(['IMG', 'my cat', 'a', 'what I wrote myself'])
    server.manners = 'the last answer'
    const again = await ended(await studio.services['queue.retry']({ id: job.id as JobId }, call))
    expect(again).toMatchObject({ state: 'done', result: { described: 3, changed: 3 } })
    expect(server.asked).toHaveLength(4)
    expect((await captions()).slice(0, 3).sort()).toEqual(['answer 1', 'answer 2', 'the last answer'])
    await studio.services['curation.undo'](null, call)
    expect(await captions()).toEqual(['IMG', 'my cat', 'a', 'what I wrote myself'])
  })

  test('are not sent elsewhere without a word, and neither is a preview', async () => {
    const far = captionerChoice.parse({ kind: 'server', address: 'https://vision.example.com', model: 'm' })
    await expect(caption(far)).rejects.toMatchObject({ code: 'invalid-request', details: { confirm: 'vision.example.com' } })
    await expect(
      studio.services['captioning.preview']({ target: everything, captioner: far, rules: rules(), items: 1 }, call),
    ).rejects.toThrow(/your pictures would leave this machine/)
  })
})

describe('a server that misbehaves', () => {
  const ask = async (over: object = {}) =>
    serverCaptioner(byServer(over), null, { waitMs: 1 }).describe('a.png', await plain(20, 20), call.signal)

  test('with passing errors is asked again', async () => {
    server.manners = (response) => void (server.asked.length < 3 ? response.writeHead(503).end() : sayCaption(response, 'at last'))
    expect(await ask()).toEqual({ caption: 'at last', tags: [] })
  })
  test.each([
    ['500 each time', (response) => void response.writeHead(500).end('no'), /error \(500\)/, 3],
    ['a page of HTML', (response) => void response.end('<!doctype html><title>Router</title>'), /not what a chat server sends/, 1],
    ['nothing', (response) => void response.end(), /not what a chat server sends/, 1],
    ['too much', (response) => void response.end('x'.repeat(2_000_000)), /larger than 1 MiB/, 1],
    ['no words', (response) => sayCaption(response, null), /said nothing/, 1],
    [
      'half an answer',
      (response) => void (response.writeHead(200, { 'content-length': 100 }), response.write('{'), setTimeout(() => response.destroy(), 5)),
      /cannot be reached/,
      3,
    ],
    ['nothing for too long', () => undefined, /within 1 seconds/, 1],
  ] as [string, Exclude<CaptionServer['manners'], string>, RegExp, number][])(
    'with %s fails for one picture',
    async (_what, manners, reason, times) => {
      server.manners = manners
      const answer = ask({ timeoutSeconds: 1 })
      await expect(answer).rejects.toThrow(reason)
      await expect(answer).rejects.toBeInstanceOf(CaptionError)
      expect(server.asked).toHaveLength(times)
    },
  )
  test('and sends pictures on to another host is not followed', async () => {
    await freshProject()
    const other = await startCaptionServer('stolen')
    server.manners = (response) => void response.writeHead(307, { location: `${other.address}/v1/chat/completions` }).end()
    const job = await ended(await caption(byServer()))
    expect(job).toMatchObject({
      state: 'failed',
      error: { code: 'bad-source', message: expect.stringContaining('never followed') as string },
    })
    expect(other.asked).toEqual([])
    await other.close()
  })
  test('that asks for a key or does not know the model ends the job with that reason', async () => {
    await freshProject()
    server.manners = (response) => void response.writeHead(401).end()
    expect((await ended(await caption(byServer()))).error?.message).toContain('asks for a key')
    server.manners = (response) => void response.writeHead(404).end()
    expect((await ended(await caption(byServer()))).error?.message).toContain('tiny-vision')
  })
  test('is asked as often at once as was said', async () => {
    await freshProject()
    const held: Parameters<Exclude<CaptionServer['manners'], string>>[0][] = []
    server.manners = (response) => {
      held.push(response)
      if (held.length === 3) for (const one of held) sayCaption(one, 'together')
    }
    expect(await ended(await caption(byServer({ concurrency: 3 })))).toMatchObject({ state: 'done', result: { changed: 3 } })
    expect(server.mostAtOnce).toBe(3)
  })
})
