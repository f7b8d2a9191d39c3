import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { request, type IncomingHttpHeaders } from 'node:http'
import { createServer, Server, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { StudioError } from '#contracts/errors.ts'
import { connect, type Client } from '#contracts/rpc.ts'
import { mediaUrl, type StudioEvents, type StudioMethods } from '#contracts/studio.ts'
import { compose, type Studio } from '#main/compose.ts'
import { startHeadless, type HeadlessHost } from '#main/headless/server.ts'
import { readPixels } from '#main/media/dataset-files.ts'
import { websocketPort } from '#main/transport/websocket-port.ts'

const home = realpathSync(mkdtempSync(join(tmpdir(), 'zigma-headless-')))
const page = join(home, 'page')
let studio: Studio
let host: HeadlessHost
let token = ''
let cookie = ''

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** A request with exactly these headers, as no browser would let a page send it. */
function send(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Buffer; to?: HeadlessHost } = {},
) {
  const { method = 'GET', headers = {}, body, to = host } = options
  return new Promise<Answer>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: to.port, path, method, headers: { host: `127.0.0.1:${to.port}`, ...headers } },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
const own = () => `http://127.0.0.1:${host.port}`
const signIn = (given: string, headers: Record<string, string> = {}, to = host) =>
  send('/session', {
    method: 'POST',
    headers: { origin: `http://127.0.0.1:${to.port}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ token: given }),
    to,
  })
const cookieOf = (answer: Answer) => answer.headers['set-cookie']?.[0]?.split(';')[0] ?? ''

/** Status of an upgrade: 101 when the socket opened. */
function upgrade(headers: Record<string, string>, path = '/rpc') {
  return new Promise<number>((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${host.port}${path}`, { headers })
    socket.on('open', () => {
      resolve(101)
      socket.terminate()
    })
    socket.on('unexpected-response', (_request, answer) => resolve(answer.statusCode ?? 0))
    socket.on('error', () => resolve(0))
  })
}

async function connected(): Promise<Client<StudioMethods, StudioEvents> & { socket: WebSocket }> {
  const socket = new WebSocket(`ws://127.0.0.1:${host.port}/rpc`, { headers: { origin: own(), cookie } })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return { ...connect<StudioMethods, StudioEvents>(websocketPort(socket)), socket }
}

async function importFolder(client: Client<StudioMethods, StudioEvents>, path: string): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    client.subscribe('job.changed', (job) => {
      if (job.state === 'done') resolve()
    })
  })
  await client.call('dataset.import', { source: { kind: 'folder', path }, options: { imageSize: 16, background: '#ffffff' } })
  await ended
}

beforeAll(async () => {
  mkdirSync(page)
  writeFileSync(join(page, 'index.html'), '<!doctype html><title>studio</title>')
  writeFileSync(join(home, 'secret.json'), '{}')
  studio = await compose({
    host: 'headless',
    settingsFolder: join(home, 'settings'),
    projectsFolder: join(home, 'projects'),
    allowedRoots: [home],
    launchEngine: () => {
      throw new StudioError('native-missing', 'There is no engine in this test.')
    },
  })
  host = await startHeadless(studio, { page })
  token = host.url.split('#t=')[1]!
  cookie = cookieOf(await signIn(token))
})

afterAll(async () => {
  await host.close()
  await studio.close()
})

describe('the address', () => {
  test('is on this machine only, and carries 256 bits of token behind the #', () => {
    expect(host.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#t=[\w-]{43}$/)
  })

  test('has another token at each start', async () => {
    const other = await startHeadless(studio, { page })
    expect(other.url.split('#t=')[1]).not.toBe(token)
    await other.close()
  })

  test('of a taken port is refused with a way out', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(startHeadless(studio, { port, page })).rejects.toMatchObject({
      code: 'port-taken',
      message: `Port ${port} is taken by another program. Choose another with --port, or leave it out for a free one.`,
    })
    taken.close()
  })

  test('of a port that the system keeps to itself is refused with a way out', async () => {
    const refused = Object.assign(new Error('listen EACCES: permission denied 127.0.0.1:80'), { code: 'EACCES' })
    const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server) {
      queueMicrotask(() => this.emit('error', refused)) // whoever runs the tests may be allowed to
      return this
    })
    await expect(startHeadless(studio, { port: 80, page }).finally(() => listen.mockRestore())).rejects.toMatchObject({
      code: 'port-taken',
      message:
        'Port 80 may not be used by you: those below 1024 are mostly kept for the system. Choose another with --port, or leave it out for a free one.',
    })
  })
})

describe('the gate', () => {
  test('lets nobody in whose Host is another name: a rebound name stays outside', async () => {
    for (const name of [
      'evil.example',
      `evil.example:${host.port}`,
      '127.0.0.1',
      `127.0.0.1:${host.port + 1}`,
      `127.0.0.1.evil:${host.port}`,
    ])
      expect([name, (await send('/', { headers: { host: name } })).status]).toEqual([name, 403])
  })

  test('answers no page from elsewhere, a page without an origin neither', async () => {
    for (const origin of ['https://evil.example', 'null', `https://127.0.0.1:${host.port}`, `http://127.0.0.1:${host.port + 1}`]) {
      expect([origin, (await send('/', { headers: { origin } })).status]).toEqual([origin, 403])
      expect([origin, (await signIn(token, { origin })).status]).toEqual([origin, 403])
      expect([origin, await upgrade({ origin, cookie })]).toEqual([origin, 403])
    }
  })

  test('wants an Origin where something changes, and on the WebSocket', async () => {
    expect((await send('/session', { method: 'POST', body: '{}' })).status).toBe(403)
    expect(await upgrade({ cookie })).toBe(403)
  })

  test('opens the WebSocket to its own page with its cookie only, and at one path', async () => {
    expect(await upgrade({ origin: own(), cookie })).toBe(101)
    expect(await upgrade({ origin: own() })).toBe(401)
    expect(await upgrade({ origin: own(), cookie: `${cookie}x` })).toBe(401)
    expect(await upgrade({ origin: own(), cookie }, '/other')).toBe(403)
  })

  test('shows pictures with the cookie only', async () => {
    expect((await send(`/${mediaUrl.item('x')}`)).status).toBe(401)
    expect((await send(`/${mediaUrl.item('x')}`, { headers: { cookie } })).status).toBe(404)
  })

  test('takes no token but the one of this start, and only as JSON', async () => {
    expect((await signIn('')).status).toBe(401)
    expect((await signIn(`${token}x`)).status).toBe(401)
    expect((await signIn(token, { 'content-type': 'text/plain' })).status).toBe(415)
    expect(
      (await send(`/session?t=${token}`, { method: 'POST', headers: { origin: own(), 'content-type': 'application/json' } })).status,
    ).toBe(401)
  })

  test('gives a cookie that no script can read and no other site can send, of another name at another port', async () => {
    expect((await signIn(token)).headers['set-cookie']?.[0]).toMatch(/^zigma-session-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/)
    expect(cookie).toContain(`-${host.port}=`)
    expect(cookie).not.toContain(token)
  })

  test('stops listening after many wrong tokens', async () => {
    const other = await startHeadless(studio, { page })
    for (let i = 0; i < 20; i++) expect((await signIn(`wrong ${i}`, {}, other)).status).toBe(401)
    expect((await signIn('wrong again', {}, other)).status).toBe(429)
    await other.close()
  })

  test('reads no endless sign-in', async () => {
    expect((await signIn('x'.repeat(100_000))).status).toBe(400)
  })

  test('does nothing on GET, and knows no other method', async () => {
    for (const path of ['/session', '/import/files', '/import/done']) expect((await send(path, { headers: { cookie } })).status).toBe(404)
    for (const method of ['PUT', 'DELETE', 'OPTIONS']) expect((await send('/', { method, headers: { cookie } })).status).toBe(405)
  })
})

describe('every answer', () => {
  test.each(['/', '/gone', '/media/item/x'])('at %s comes with the strict policy', async (path) => {
    const { headers } = await send(path)
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-resource-policy': 'same-origin',
    })
    const policy = headers['content-security-policy'] as string
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;/)
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  test.each(['/../secret.json', '/%2e%2e/secret.json', '/..%2fsecret.json', '/..%5csecret.json', '/%00', '/%zz', '//etc/passwd'])(
    'at %s is that there is nothing',
    async (path) => {
      expect((await send(path, { headers: { cookie } })).status).toBe(404)
    },
  )
})

describe('the studio behind the WebSocket', () => {
  test('answers calls, tells news, and turns bad requests down with one sentence', async () => {
    const client = await connected()
    const created = new Promise<string>((resolve) => client.subscribe('project.opened', ({ name }) => resolve(name)))
    await client.call('projects.create', { name: 'First' })
    expect(await created).toBe('First')
    expect((await client.call('projects.list', null)).map(({ name }) => name)).toContain('First')
    await expect(client.call('projects.create', { name: '' })).rejects.toMatchObject({ code: 'invalid-request' })
    client.socket.terminate()
  })

  test('closes on anything but JSON text', async () => {
    for (const wrong of ['{', Buffer.from([1, 2, 3])]) {
      const { socket } = await connected()
      const closed = new Promise<number>((resolve) => socket.once('close', resolve))
      socket.send(wrong)
      expect(await closed).toBe(1003)
    }
  })

  test('closes on a frame that is too large', async () => {
    const { socket } = await connected()
    const closed = new Promise<number>((resolve) => socket.once('close', resolve))
    socket.send('x'.repeat(9 * 1024 * 1024))
    expect(await closed).toBe(1009)
  })

  test('browses only below the allowed folders', async () => {
    const client = await connected()
    expect((await client.call('system.browse', { path: home })).folders.map(({ name }) => name)).toContain('page')
    for (const path of ['/', '/etc', join(home, '..'), `${home}-evil`, `${home}/../..`])
      await expect(client.call('system.browse', { path })).rejects.toMatchObject({ code: 'bad-source' })
    client.socket.terminate()
  })

  test('imports from below the allowed folders only', async () => {
    const client = await connected()
    await client.call('projects.create', { name: 'Roots' })
    await expect(
      client.call('dataset.import', { source: { kind: 'folder', path: '/etc' }, options: { imageSize: 16, background: '#ffffff' } }),
    ).rejects.toMatchObject({ code: 'bad-source' })
    client.socket.terminate()
  })
})

describe('pictures dropped on the page', () => {
  const drop = (name: string, body: Buffer) =>
    send(`/import/files?name=${encodeURIComponent(name)}`, { method: 'POST', headers: { origin: own(), cookie }, body })
  const done = () => send('/import/done', { method: 'POST', headers: { origin: own(), cookie } })

  test('arrive, can be imported, and are shown exactly as the trainer reads them', async () => {
    const client = await connected()
    await client.call('projects.create', { name: 'Dropped' })
    const png = await sharp({ create: { width: 24, height: 24, channels: 3, background: '#336699' } })
      .png()
      .toBuffer()
    expect((await drop('cats/a blue "square".png', png)).status).toBe(200)
    const { path } = JSON.parse((await done()).body.toString()) as { path: string }
    expect(readFileSync(join(path, 'cats', 'a blue "square".png'))).toEqual(png)
    await importFolder(client, path)

    const { jobs } = await client.call('queue.list', null)
    expect(jobs.map(({ title }) => title)).toEqual(['cats'])
    const { items } = await client.call('dataset.items', { offset: 0, limit: 10 })
    expect(items.map(({ caption }) => caption)).toEqual(['a blue "square"'])
    const shown = await send(`/${mediaUrl.item(items[0]!.id)}`, { headers: { cookie } })
    expect([shown.status, shown.headers['content-type']]).toEqual([200, 'image/png'])
    expect(shown.headers['content-length']).toBe(String(shown.body.length)) // in one piece
    const project = studio.context.project()
    const stored = (await project.dataset.items())[0]!
    const read = readPixels(project.folder.dataset, stored, 16)
    expect(new Uint8Array(await sharp(shown.body).raw().toBuffer())).toEqual(read)
    client.socket.terminate()
  })

  test('are kept until their import is done, and no longer', async () => {
    const client = await connected()
    await client.call('projects.create', { name: 'Kept' })
    const png = await sharp({ create: { width: 24, height: 24, channels: 3, background: '#996633' } })
      .png()
      .toBuffer()
    const dropAll = async (name: string, body: Buffer) => {
      await drop(name, body)
      return (JSON.parse((await done()).body.toString()) as { path: string }).path
    }
    const imported = await dropAll('a.png', png)
    await importFolder(client, imported)
    await expect.poll(() => existsSync(imported)).toBe(false)
    expect((await client.call('dataset.items', { offset: 0, limit: 10 })).total).toBe(1)

    const failed = await dropAll('no picture.xyz', Buffer.from('x'))
    const forgotten = await dropAll('b.png', png)
    const failing = new Promise<void>((resolve) => client.subscribe('job.changed', ({ state }) => state === 'failed' && resolve()))
    await client.call('dataset.import', { source: { kind: 'folder', path: failed }, options: { imageSize: 16, background: '#ffffff' } })
    await failing
    expect([existsSync(failed), existsSync(forgotten)]).toEqual([true, true])
    const { id } = (await client.call('projects.current', null))!
    await client.call('projects.close', null)
    await client.call('projects.open', { id })
    expect([existsSync(failed), existsSync(forgotten)]).toEqual([true, false])
    await client.call('queue.clearEnded', null)
    await client.call('projects.close', null)
    await client.call('projects.open', { id })
    expect(existsSync(failed)).toBe(false)
    client.socket.terminate()
  })

  test('do not land outside of what was dropped', async () => {
    const client = await connected()
    await client.call('projects.create', { name: 'Escapes' })
    for (const name of ['../out.png', 'a/../../out.png', '/', '', '..', 'x\0.png']) {
      const answer = await drop(name, Buffer.from('x'))
      expect([name, answer.status, answer.body.toString()]).toEqual([
        name,
        400,
        'The name of a dropped file leads outside of what was dropped. Rename it and drop it again.',
      ])
    }
    client.socket.terminate()
  })

  test('need the cookie', async () => {
    const answer = await send('/import/files?name=a.png', { method: 'POST', headers: { origin: own() }, body: 'x' })
    expect(answer.status).toBe(401)
  })

  test('that never came are said to be missing', async () => {
    expect((await done()).body.toString()).toBe('Nothing was dropped. Drop a folder or some pictures.')
  })
})
