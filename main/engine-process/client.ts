import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { EngineEvents, EngineMethods } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import { connect, type Client, type Port } from '#contracts/rpc.ts'
import type { EngineStatus } from '#contracts/studio.ts'
import { childPort } from '../transport/process-port.ts'

/** A started engine process. Electron hands in a launcher of its own, for its utility process. */
export interface EngineProcess {
  port: Port
  /** `reason` is what the process said last, or how it ended. */
  onExit(listener: (reason: string) => void): void
  kill(): void
}
export type EngineLauncher = () => EngineProcess

const lastWordsBytes = 2000

/** The engine as a fork of this Node. */
export const forkEngine: EngineLauncher = () => {
  const child = fork(join(import.meta.dirname, 'entry.ts'), { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let lastWords = ''
  child.stderr?.on('data', (chunk: Buffer) => (lastWords = (lastWords + chunk.toString()).slice(-lastWordsBytes)))
  return {
    port: childPort(child),
    onExit: (listener) =>
      void child.on('exit', (code, signal) => listener(lastWords.trim().split('\n').at(-1) || (signal ?? `exit code ${code}`))),
    kill: () => void child.kill('SIGKILL'),
  }
}

type EngineCall = Client<EngineMethods, EngineEvents>['call']
/** News of the engine with its name, so that `name` tells what `news` is. */
export type EngineNews = { [K in keyof EngineEvents]: { name: K; news: EngineEvents[K] } }[keyof EngineEvents]
type NewsListener = (heard: EngineNews) => void
const patience = {
  askEveryMs: 15_000,
  /** A process that has not answered for so long is taken for lost; the engine computes beside its JS thread, so it always can. */
  silenceMs: 300_000,
  /** So long the device is waited for; loading the library takes a second or two, from a slow disk more. */
  describeMs: 20_000,
}
const newsNames = ['engine.trained', 'engine.sampled', 'engine.drew', 'engine.checkpointed', 'engine.encoded', 'engine.warned'] as const

/** Starts the engine when it is first needed, watches it, and starts it again after it was lost. */
export class EngineClient {
  readonly #launch: EngineLauncher
  readonly #onStatus: (status: EngineStatus) => void
  readonly #listeners = new Set<NewsListener>()
  #running: { process: EngineProcess; client: Client<EngineMethods, EngineEvents> } | null = null
  #status: EngineStatus = { state: 'starting', device: '', memoryBytes: null, memoryTotalBytes: null, problem: null }
  #busy = 0
  #closing = false
  readonly #patience: typeof patience

  constructor(launch: EngineLauncher, onStatus: (status: EngineStatus) => void, wait = patience) {
    this.#launch = launch
    this.#onStatus = onStatus
    this.#patience = wait
  }

  get status(): EngineStatus {
    return this.#status
  }

  onNews(listener: NewsListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Asks the engine what it runs on; from then on the device is shown. Never fails and never waits for longer than its patience:
   * what is wrong becomes the status, until an answer that comes late after all puts it right.
   */
  async describe(): Promise<EngineStatus> {
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<void>((resolve) => {
      const { describeMs } = this.#patience
      timer = setTimeout(() => {
        this.#unavailable(
          `The engine was started but has not answered for ${describeMs / 1000} seconds. Wait a little longer, or end the studio and start it again.`,
        )
        resolve()
      }, describeMs)
    })
    await Promise.race([this.#askDevice(), silence])
    clearTimeout(timer)
    return this.#status
  }

  async #askDevice(): Promise<void> {
    try {
      const { name, memoryBytes, memoryTotalBytes } = await this.#client().call('engine.describe', null)
      this.#set({ state: this.#busy > 0 ? 'busy' : 'idle', device: name, memoryBytes, memoryTotalBytes, problem: null })
    } catch (error) {
      this.#unavailable((error as Error).message)
    }
  }

  #unavailable(problem: string): void {
    this.#set({ ...this.#status, state: 'unavailable', problem })
  }

  /** A call to the engine; while one runs the engine is shown as busy. */
  readonly call: EngineCall = async (name, request, options) => {
    this.#busy++
    if (this.#status.state === 'idle') this.#set({ ...this.#status, state: 'busy' })
    try {
      return await this.#client().call(name, request, options)
    } catch (error) {
      if (error instanceof StudioError && error.code === 'device-lost') this.#forget(error.message)
      throw error
    } finally {
      this.#busy--
      if (this.#busy === 0 && this.#status.state === 'busy') this.#set({ ...this.#status, state: 'idle' })
    }
  }

  /** A process without its device is on its way out: the next call starts another. */
  #forget(problem: string): void {
    const ending = this.#running
    this.#running = null
    this.#set({ ...this.#status, state: 'lost', problem })
    ending?.process.kill()
  }

  close(): void {
    this.#closing = true
    this.#running?.process.kill()
  }

  #client(): Client<EngineMethods, EngineEvents> {
    if (this.#closing) throw new StudioError('engine-lost', 'The studio is closing.')
    if (this.#running) return this.#running.client
    const process = this.#launch()
    const client = connect<EngineMethods, EngineEvents>(process.port)
    for (const name of newsNames)
      client.subscribe(name, (news) => this.#listeners.forEach((listener) => listener({ name, news } as EngineNews)))
    const stopWatching = this.#watch(process, client)
    process.onExit((reason) => {
      stopWatching()
      if (this.#running?.process !== process) return // it was given up before it ended
      this.#running = null
      if (!this.#closing)
        this.#set({
          ...this.#status,
          state: 'lost',
          problem: `The engine ended by itself (${reason}). It is started again with the next job.`,
        })
    })
    this.#running = { process, client }
    return client
  }

  /** Ends a process that no longer answers while it has work. */
  #watch(process: EngineProcess, client: Client<EngineMethods, EngineEvents>): () => void {
    const { askEveryMs, silenceMs } = this.#patience
    let askedMs: number | null = null
    const timer = setInterval(() => {
      if (askedMs !== null) {
        if (performance.now() - askedMs > silenceMs) process.kill()
        return
      }
      if (this.#busy === 0) return
      askedMs = performance.now()
      const answered = () => (askedMs = null)
      client.call('engine.describe', null).then(answered, answered) // a refusal is an answer too
    }, askEveryMs).unref()
    return () => clearInterval(timer)
  }

  #set(status: EngineStatus): void {
    this.#status = status
    this.#onStatus(status)
  }
}
