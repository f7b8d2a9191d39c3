import { setImmediate } from 'node:timers/promises'
import type { Binding, DeviceTensor, NativeBinding, NativeRuntime, Session } from './binding.ts'
import { isNativeError } from './binding.ts'

/** The addon as C++ exports it: `run` takes no signal and `cancel` stops it; errors of promises have no stack. */
export interface RawNative {
  openRuntime(...args: Parameters<NativeBinding['openRuntime']>): RawRuntime
  /** Cancels every run of this thread. */
  stopRuns: () => void
}
interface RawRuntime extends Omit<NativeRuntime, 'createSession'> {
  createSession(...args: Parameters<NativeRuntime['createSession']>): Promise<RawSession>
}
interface RawSession extends Omit<Session, 'createBinding'> {
  createBinding(): RawBinding
}
interface RawBinding extends Disposable {
  bindInput(name: string, tensor: DeviceTensor): void
  bindOutput(name: string, tensor: DeviceTensor): void
  run(): Promise<void>
  cancel(): void
  dispose(): void
}

/** The addon with abortable runs, and errors whose stack is that of the code that awaits. */
export function abortable(raw: RawNative): NativeBinding {
  return { openRuntime: (options) => abortableRuntime(raw.openRuntime(options)) }
}

function abortableRuntime(raw: RawRuntime): NativeRuntime {
  const create = raw.createSession.bind(raw)
  return Object.assign(raw, {
    async createSession(...args: Parameters<typeof create>) {
      const isRecorded = raw.device === 'cuda' && args[1]?.cudaGraph === true
      return abortableSession(await create(...args).catch(rethrow), isRecorded ? awake : (run) => run)
    },
  })
}

type Waiting = (run: Promise<void>) => Promise<void>

function abortableSession(raw: RawSession, waiting: Waiting): Session {
  const create = raw.createBinding.bind(raw)
  return Object.assign(raw, { createBinding: () => abortableBinding(create(), waiting) })
}

const awakeMs = 3

/**
 * A run of a recorded graph may take less than two milliseconds, and the next one waits for it: for so long JavaScript's thread does not fall asleep, for
 * waking it would take a fiftieth of that. Everything else on it goes on meanwhile.
 */
async function awake(run: Promise<void>): Promise<void> {
  let isPending = true
  const ends = () => {
    isPending = false
  }
  run.then(ends, ends)
  const until = performance.now() + awakeMs
  while (isPending && performance.now() < until) await setImmediate()
  await run
}

function abortableBinding(raw: RawBinding, waiting: Waiting): Binding {
  const start = raw.run.bind(raw)
  return Object.assign(raw, {
    async run(signal?: AbortSignal) {
      signal?.throwIfAborted()
      const cancel = () => {
        raw.cancel()
      }
      signal?.addEventListener('abort', cancel, { once: true })
      try {
        await waiting(start())
      } catch (error) {
        if (isNativeError(error, 'Aborted')) signal?.throwIfAborted()
        rethrow(error)
      } finally {
        signal?.removeEventListener('abort', cancel)
      }
    },
  })
}

/** An error made on a worker thread has no stack; here it gets one. */
function rethrow(error: unknown): never {
  if (isNativeError(error)) Error.captureStackTrace(error, rethrow)
  throw error
}
