import { z } from 'zod'
import { fromWire, StudioError, toWire, wireError, type WireError } from './errors.ts'

/** A two-way street for wire values: null, boolean, number, string, bytes, arrays and plain records. */
export interface Port {
  post(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  onClose(listener: () => void): void
  close(): void
}

/** One command: what it takes and what it gives, checked at the door of the room that serves it. */
export interface Method<Request extends z.ZodType = z.ZodType, Reply extends z.ZodType = z.ZodType> {
  request: Request
  reply: Reply
}

export function method<Request extends z.ZodType, Reply extends z.ZodType>(request: Request, reply: Reply): Method<Request, Reply> {
  return { request, reply }
}

export type Methods = Record<string, Method>

/** The functions behind a table of methods. `signal` aborts when the caller cancels or its port closes. */
export type ServicesOf<M extends Methods> = {
  [K in keyof M]: (request: z.output<M[K]['request']>, context: CallContext) => Promise<z.input<M[K]['reply']>>
}

export interface CallContext {
  signal: AbortSignal
}

/** The caller's side of a table of methods. */
export interface Client<M extends Methods, Events> {
  call<K extends keyof M & string>(
    name: K,
    request: z.input<M[K]['request']>,
    options?: { signal?: AbortSignal },
  ): Promise<z.output<M[K]['reply']>>
  /** Listen to news; returns the function that stops listening. */
  subscribe<K extends keyof Events & string>(name: K, listener: (news: Events[K]) => void): () => void
  onClose(listener: () => void): void
  close(): void
}

export interface Server<Events> {
  publish<K extends keyof Events & string>(name: K, news: Events[K]): void
  close(): void
}

const message = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('call'), id: z.number().int().nonnegative(), method: z.string().max(200), request: z.unknown() }),
  z.object({ kind: z.literal('cancel'), id: z.number().int().nonnegative() }),
  z.object({ kind: z.literal('reply'), id: z.number().int().nonnegative(), value: z.unknown() }),
  z.object({ kind: z.literal('failure'), id: z.number().int().nonnegative(), error: wireError }),
  z.object({ kind: z.literal('news'), name: z.string().max(200), news: z.unknown() }),
])
type Message = z.infer<typeof message>

/** Answer calls that arrive on `port`. Every request is validated here, once, before a service sees it. */
export function serve<M extends Methods, Events>(port: Port, methods: M, services: ServicesOf<M>): Server<Events> {
  const running = new Map<number, AbortController>()

  const answer = async (call: Extract<Message, { kind: 'call' }>): Promise<Message> => {
    const { id } = call
    const declared = Object.hasOwn(methods, call.method) ? methods[call.method] : undefined
    if (!declared) {
      return fail(
        id,
        new StudioError(
          'invalid-request',
          `There is no command named "${call.method}". Update the studio so that both sides are of one version.`,
        ),
      )
    }
    const request = declared.request.safeParse(call.request)
    if (!request.success) {
      return fail(id, new StudioError('invalid-request', `${call.method}: ${firstIssue(request.error)}`))
    }
    const abort = new AbortController()
    running.set(id, abort)
    try {
      const value: unknown = await services[call.method as keyof M](request.data as never, { signal: abort.signal })
      return { kind: 'reply', id, value: value ?? null }
    } catch (error) {
      return fail(id, error)
    } finally {
      running.delete(id)
    }
  }

  port.onMessage((raw) => {
    const parsed = message.safeParse(raw)
    if (!parsed.success) return
    if (parsed.data.kind === 'cancel') running.get(parsed.data.id)?.abort(new StudioError('cancelled', 'The call was cancelled.'))
    if (parsed.data.kind === 'call') void answer(parsed.data).then((reply) => port.post(reply))
  })
  port.onClose(() => {
    for (const abort of running.values()) abort.abort(new StudioError('cancelled', 'The caller went away.'))
  })

  return {
    publish: (name, news) => port.post({ kind: 'news', name, news } satisfies Message),
    close: () => port.close(),
  }
}

/** Call services that live behind `port`. Pending calls are rejected when the port closes. */
export function connect<M extends Methods, Events>(port: Port): Client<M, Events> {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  const listeners = new Map<string, Set<(news: never) => void>>()
  const closers = new Set<() => void>()
  let nextId = 0
  let closed = false

  port.onMessage((raw) => {
    const parsed = message.safeParse(raw)
    if (!parsed.success) return
    const m = parsed.data
    if (m.kind === 'news') {
      for (const listener of listeners.get(m.name) ?? []) listener(m.news as never)
      return
    }
    if (m.kind !== 'reply' && m.kind !== 'failure') return
    const call = waiting.get(m.id)
    waiting.delete(m.id)
    if (m.kind === 'reply') call?.resolve(m.value as never)
    else call?.reject(fromWire(m.error))
  })
  port.onClose(() => {
    closed = true
    const lost = new StudioError('engine-lost', 'The connection closed before the answer came. Reconnect and try again.')
    for (const { reject } of waiting.values()) reject(lost)
    waiting.clear()
    for (const closer of closers) closer()
  })

  return {
    call(name, request, { signal } = {}) {
      return new Promise((resolve, reject) => {
        if (closed) return reject(new StudioError('engine-lost', 'The connection is closed. Reconnect and try again.'))
        if (signal?.aborted) return reject(new StudioError('cancelled', 'The call was cancelled.'))
        const id = nextId++
        waiting.set(id, { resolve, reject })
        signal?.addEventListener('abort', () => waiting.has(id) && port.post({ kind: 'cancel', id } satisfies Message), { once: true })
        port.post({ kind: 'call', id, method: name, request } satisfies Message)
      })
    },
    subscribe(name, listener) {
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set.add(listener))
      return () => set.delete(listener)
    },
    onClose: (listener) => void closers.add(listener),
    close: () => port.close(),
  }
}

/** Two ports joined in one process: what one posts, the other hears, a microtask later. */
export function portPair(): [Port, Port] {
  const ends = [new Set<(m: unknown) => void>(), new Set<(m: unknown) => void>()] as const
  const closers = new Set<() => void>()
  const end = (mine: 0 | 1): Port => ({
    post: (m) => queueMicrotask(() => ends[mine === 0 ? 1 : 0].forEach((listener) => listener(m))),
    onMessage: (listener) => void ends[mine].add(listener),
    onClose: (listener) => void closers.add(listener),
    close: () => closers.forEach((closer) => closer()),
  })
  return [end(0), end(1)]
}

function fail(id: number, error: unknown): Message {
  return { kind: 'failure', id, error: toWire(error) satisfies WireError }
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]
  if (!issue) return 'the request does not have the expected form.'
  return `${issue.path.length > 0 ? `"${issue.path.join('.')}": ` : ''}${issue.message}.`
}
