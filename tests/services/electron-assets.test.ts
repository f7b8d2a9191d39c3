import type { Session } from 'electron'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { Studio } from '#main/compose.ts'
import { declareScheme, serveAssets } from '#main/electron/asset-protocol.ts'
import { protocol } from '#tests/support/fake-electron.ts'

vi.mock('electron', () => import('#tests/support/fake-electron.ts'))

const folder = mkdtempSync(join(tmpdir(), 'zigma-page-'))
const page = join(folder, 'renderer')
mkdirSync(page)
writeFileSync(join(page, 'index.html'), '<!doctype html>')
writeFileSync(join(folder, 'secret.json'), '{}')

function handlerOf(): (request: Request) => Promise<Response> {
  let handler: ((request: Request) => Promise<Response>) | null = null
  const session = { protocol: { handle: (_scheme: string, given: typeof handler) => (handler = given) } }
  serveAssets(session as unknown as Session, { current: () => null } as unknown as Studio, page)
  return handler!
}
const fetchAsset = (url: string, method = 'GET') => handlerOf()({ url, method } as Request)

describe('app://studio', () => {
  test('is declared a standard, secure scheme before the app is ready', () => {
    declareScheme()
    expect(protocol.declared).toEqual([
      { scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true, stream: true, codeCache: true } },
    ])
  })

  test('serves the page under a policy that lets nothing in from outside', async () => {
    const answer = await fetchAsset('app://studio/index.html')
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'text/html; charset=utf-8',
      '<!doctype html>',
    ])
    const policy = answer.headers.get('content-security-policy') ?? ''
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "object-src 'none'", "frame-ancestors 'none'"])
      expect(policy.split('; ')).toContain(rule)
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  })

  test.each([
    'app://studio/../secret.json',
    'app://studio/%2e%2e/secret.json',
    'app://studio/..%2fsecret.json',
    'app://studio/..%5csecret.json',
    'app://studio/%00',
    'app://studio/%zz',
    'app://studio//etc/passwd',
    'app://studio/media/picture/..%2f..%2fsecret.json',
  ])('has nothing at %s', async (url) => {
    expect((await fetchAsset(url)).status).toBe(404)
  })

  test('does not answer for another host, nor anything but reading', async () => {
    expect((await fetchAsset('app://studio.evil/index.html')).status).toBe(403)
    expect((await fetchAsset('app://studio/index.html', 'POST')).status).toBe(405)
  })
})
