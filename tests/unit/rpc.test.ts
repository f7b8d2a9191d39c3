import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { StudioError } from '#contracts/errors.ts'
import { connect, method, portPair, serve, type ServicesOf } from '#contracts/rpc.ts'

const methods = {
  double: method(z.number().int(), z.number()),
  wait: method(z.null(), z.null()),
  fail: method(z.null(), z.null()),
  crash: method(z.null(), z.null()),
}
interface Events {
  counted: number
}

function joined(over: Partial<ServicesOf<typeof methods>> = {}) {
  const [near, far] = portPair()
  const server = serve<typeof methods, Events>(far, methods, {
    double: (n) => Promise.resolve(2 * n),
    wait: (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    fail: () => Promise.reject(new StudioError('disk-full', 'The disk is full. Free 2 GB and resume.', { details: { freeBytes: 1 } })),
    crash: () => Promise.reject(new TypeError('x is undefined')),
    ...over,
  })
  return { client: connect<typeof methods, Events>(near), server, near, far }
}

describe('a call over a port', () => {
  test('comes back with the answer of its own request', async () => {
    const { client } = joined()
    expect(await Promise.all([client.call('double', 1), client.call('double', 21)])).toEqual([2, 42])
  })

  test('is refused before the service sees it when the request has the wrong form', async () => {
    const double = vi.fn(() => Promise.resolve(0))
    const { client } = joined({ double })
    await expect(client.call('double', 1.5)).rejects.toMatchObject({ code: 'invalid-request' })
    expect(double).not.toHaveBeenCalled()
  })

  test('names the command that does not exist, even one that every object has', async () => {
    const { client } = joined()
    await expect(client.call('toString' as 'double', 1)).rejects.toThrow('There is no command named "toString"')
  })

  test('carries an expected failure with its code, sentence and details', async () => {
    const { client } = joined()
    await expect(client.call('fail', null)).rejects.toMatchObject({
      code: 'disk-full',
      message: 'The disk is full. Free 2 GB and resume.',
      details: { freeBytes: 1 },
    })
  })

  test('turns a bug into the code internal and leaves the stack behind', async () => {
    const { client } = joined()
    const error = await client.call('crash', null).catch((e: unknown) => e as StudioError)
    expect(error).toMatchObject({ code: 'internal', message: 'x is undefined' })
  })

  test('is aborted in the service when the caller cancels', async () => {
    const { client } = joined()
    const abort = new AbortController()
    const call = client.call('wait', null, { signal: abort.signal })
    abort.abort()
    await expect(call).rejects.toMatchObject({ code: 'cancelled' })
  })

  test('is rejected when the connection closes before the answer', async () => {
    const { client, near } = joined()
    const call = client.call('wait', null)
    near.close()
    await expect(call).rejects.toMatchObject({ code: 'engine-lost' })
    await expect(client.call('double', 1)).rejects.toMatchObject({ code: 'engine-lost' })
  })

  test('survives messages that are not of the protocol', async () => {
    const { client, near, far } = joined()
    for (const junk of [null, 7, 'x', {}, { kind: 'call' }, { kind: 'call', id: -1, method: 'double' }, { kind: 'reply', id: 99 }]) {
      near.post(junk)
      far.post(junk)
    }
    expect(await client.call('double', 4)).toBe(8)
  })
})

describe('news', () => {
  test('reach every listener until it stops listening', async () => {
    const { client, server } = joined()
    const heard: number[] = []
    const stop = client.subscribe('counted', (n) => heard.push(n))
    server.publish('counted', 1)
    await client.call('double', 0)
    stop()
    server.publish('counted', 2)
    await client.call('double', 0)
    expect(heard).toEqual([1])
  })
})
