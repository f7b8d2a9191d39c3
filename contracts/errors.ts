import { z } from 'zod'

// Nothing in the studio turns text into code, and the window's policy forbids it: schemas are interpreted.
z.config({ jitless: true })

/** What went wrong, as a fact a program can act on. The sentence for people is in `message`. */
export const studioErrorCodes = [
  'invalid-request',
  'not-found',
  'already-exists',
  'project-locked',
  'bad-source',
  'unsafe-file',
  'corrupt-file',
  'disk-full',
  'native-missing',
  'engine-lost',
  'out-of-memory',
  'device-lost',
  'not-finite',
  'port-taken',
  'unauthorized',
  'cancelled',
  'internal',
] as const

export type StudioErrorCode = (typeof studioErrorCodes)[number]

export const wireError = z.object({
  code: z.enum(studioErrorCodes),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
})
export type WireError = z.infer<typeof wireError>

/** An expected failure: one clear sentence naming the thing, the rule, the value and the way out. */
export class StudioError extends Error {
  readonly code: StudioErrorCode
  readonly details: Record<string, unknown> | undefined

  constructor(code: StudioErrorCode, message: string, options: { details?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'StudioError'
    this.code = code
    this.details = options.details
  }
}

/** Any thrown value in the form that crosses a process. Stacks and paths of unexpected errors stay behind. */
export function toWire(error: unknown): WireError {
  if (error instanceof StudioError) {
    return { code: error.code, message: error.message, ...(error.details ? { details: error.details } : {}) }
  }
  if (error instanceof Error && error.name === 'AbortError') return { code: 'cancelled', message: 'The call was cancelled.' }
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) }
}

export function fromWire(error: WireError): StudioError {
  return new StudioError(error.code, error.message, error.details ? { details: error.details } : {})
}
