import { BlockList, isIP } from 'node:net'
import { StudioError } from '#contracts/errors.ts'

const near = new BlockList()
near.addSubnet('127.0.0.0', 8, 'ipv4')
near.addSubnet('10.0.0.0', 8, 'ipv4')
near.addSubnet('172.16.0.0', 12, 'ipv4')
near.addSubnet('192.168.0.0', 16, 'ipv4')
near.addAddress('::1', 'ipv6')
near.addSubnet('fc00::', 7, 'ipv6')

/**
 * Whether an address names this machine or its private network by number. A name other than localhost is never taken for near: what it
 * leads to is decided elsewhere, and may be another at the next look. Neither are link-local numbers, where clouds keep their secrets.
 */
export function isNear(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (host === 'localhost') return true
  const family = isIP(host)
  return family !== 0 && near.check(host, family === 4 ? 'ipv4' : 'ipv6')
}

/**
 * Where chat completions are asked for.
 *
 * @param confirmedHost the host (with its port) that people agreed to send pictures to
 * @throws StudioError invalid-request; with `details: {confirm: host}` when pictures would leave and nobody agreed.
 */
export function completionsUrl(address: string, confirmedHost: string | null): URL {
  const url = URL.parse(address)
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new StudioError(
      'invalid-request',
      `"${address.replace(/\/\/[^/]*@/, '//')}" is not a server's address. Write it like http://127.0.0.1:1234, without a name, key or question in it.`,
    )
  if (!isNear(url) && confirmedHost !== url.host)
    throw new StudioError(
      'invalid-request',
      `"${url.host}" is not this machine or a private address: your pictures would leave this machine and go there. Confirm that for "${url.host}", or use a server of your own.`,
      { details: { confirm: url.host } },
    )
  const path = url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')
  url.pathname = `${/\/v\d+$/.test(path) ? path : `${path}/v1`}/chat/completions`
  return url
}
