import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const failureLimit = 20
const failureWindowMs = 60_000

/** Why a request is turned away, as an HTTP status and one sentence. */
export interface Refusal {
  status: 401 | 403 | 429
  sentence: string
}

/**
 * Who may come in: a request to this very address (a foreign Host is a rebound name), from a page of this very origin, with the token of this
 * start, which the page trades for a cookie. WebSockets pass the same gate, because browsers ask no permission for them.
 */
export class Gate {
  readonly token = randomBytes(32).toString('base64url')
  readonly #session = randomBytes(32).toString('base64url')
  #hosts: ReadonlySet<string> = new Set()
  #cookieName = ''
  #failures: number[] = []

  /** The server's own addresses, once its port is known. */
  open(port: number): void {
    this.#hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])
    this.#cookieName = `zigma-session-${port}` // browsers share cookies between the ports of a host, and two studios may run
  }

  /** Host and Origin; for everything, the page itself included. */
  checkAddress(request: IncomingMessage): Refusal | null {
    const { host, origin } = request.headers
    if (host === undefined || !this.#hosts.has(host)) return { status: 403, sentence: 'This server answers to its own address only.' }
    if (origin !== undefined && origin !== `http://${host}`) return { status: 403, sentence: 'Requests from other pages are refused.' }
    return null
  }

  /** The cookie; for everything but the page and its sign-in. */
  checkSession(request: IncomingMessage): Refusal | null {
    const cookies = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='))
    return cookies.some(([name, value]) => name === this.#cookieName && equal(value ?? '', this.#session))
      ? null
      : { status: 401, sentence: 'Open the studio by the address that it printed when it started.' }
  }

  /** A browser's requests that change something, and its WebSocket, always name the page they come from. */
  checkOrigin(request: IncomingMessage): Refusal | null {
    return request.headers.origin === undefined ? { status: 403, sentence: 'The request does not say which page it comes from.' } : null
  }

  /** The token of this start against a cookie. Wrong tokens are counted: nobody tries many. */
  signIn(token: string): { cookie: string } | Refusal {
    const now = performance.now()
    this.#failures = this.#failures.filter((at) => now - at < failureWindowMs)
    if (this.#failures.length >= failureLimit)
      return { status: 429, sentence: 'Too many wrong tokens. Wait a minute and open the printed address again.' }
    if (!equal(token, this.token)) {
      this.#failures.push(now)
      return { status: 401, sentence: 'The token is not of this start. Open the address that the studio printed last.' }
    }
    return { cookie: `${this.#cookieName}=${this.#session}; HttpOnly; SameSite=Strict; Path=/` }
  }
}

function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
