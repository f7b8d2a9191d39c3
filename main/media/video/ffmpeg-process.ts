import { spawn, type ChildProcess } from 'node:child_process'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isCode } from '../../store/safe-fs.ts'
import { readRecords, type RecordSource } from './record-reader.ts'
import { VideoError } from './video-error.ts'

/** What ffmpeg says is kept from its beginning (the description of the streams) and from its end (why it failed). */
const headLimit = 256 * 1024
const tailLimit = 8 * 1024

export interface FfmpegRun {
  /** The program. */
  path: string
  args: readonly string[]
  signal: AbortSignal
  /** Without a byte from the program for this long, it is ended. */
  silenceMs: number
  /** However much it says, it is ended after this long. */
  timeoutMs: number
  /** What the program reads as pipe:0, no faster than it takes it. */
  input?: AsyncIterable<Uint8Array>
  /** Takes what the program writes; returns when it has seen enough, which ends the program. */
  read: (output: FfmpegOutput) => Promise<void>
}

/** What the program writes: chunks as they come, or records of one size; a reader takes it in one of the two ways. */
export interface FfmpegOutput extends AsyncIterable<Buffer> {
  /** Whole records, one behind the other in the same bytes; what is left over at the end is left out. */
  records(sizeBytes: number): AsyncIterable<Uint8Array>
}

export interface FfmpegEnd {
  /** Null when it was ended because enough was read. */
  exitCode: number | null
  said: string
}

/**
 * Runs ffmpeg once and streams what it writes, no faster than it is read. The program has a process group of its own, which ends as a whole when
 * the signal aborts, when time is up and when the reader has seen enough: none is left behind.
 *
 * @throws VideoError timed-out; the signal's reason; what `read` and `input` throw.
 */
export async function runFfmpeg({ path, args, signal, silenceMs, timeoutMs, input, read }: FfmpegRun): Promise<FfmpegEnd> {
  signal.throwIfAborted()
  const child = spawn(path, ['-hide_banner', '-nostdin', '-nostats', ...args], {
    stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32', // its own group, so that nothing it started outlives it
    windowsHide: true,
    env: quietEnvironment(),
  })
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code))
  })
  closed.catch(() => undefined) // heard of below, once the output has ended

  let stopped: unknown = null
  const stop = (reason: unknown) => {
    stopped ??= reason
    endGroup(child)
  }
  const onAbort = () => stop(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const whole = setTimeout(() => stop(tooLong(timeoutMs)), timeoutMs)
  const said = listen(child)
  const { stdin } = child
  const stdout = child.stdout!
  const fed = input && stdin ? feed(stdin, input).catch(stop) : null
  const onSilence = () => stop(tooLong(silenceMs))
  const taken: { records: RecordSource | null } = { records: null }
  const wholeRecords = async function* (sizeBytes: number) {
    const source = (taken.records = readRecords(stdout, sizeBytes))
    for (;;) {
      const timer = setTimeout(onSilence, silenceMs)
      const isWhole = await source.next(() => timer.refresh()).finally(() => clearTimeout(timer))
      if (!isWhole) return
      yield source.record
    }
  }
  const hasEnded = () => taken.records?.ended ?? stdout.readableEnded
  let enough = false
  try {
    await read({ records: wholeRecords, [Symbol.asyncIterator]: () => notSilent(stdout, silenceMs, onSilence) })
    enough = child.exitCode === null && !hasEnded()
  } finally {
    clearTimeout(whole)
    signal.removeEventListener('abort', onAbort)
    if (enough || !hasEnded()) endGroup(child)
    taken.records?.close()
    await fed // nothing is read on behind the back of who called
  }
  const exitCode = await withLimit(closed, silenceMs, () => stop(tooLong(silenceMs)))
  if (stopped !== null) throw stopped as Error
  return { exitCode: enough ? null : exitCode, said: said() }
}

function tooLong(ms: number): VideoError {
  return new VideoError(
    'timed-out',
    `The video took longer than ${Math.round(ms / 1000)} seconds to read. Save it again in another format.`,
  )
}

/** ffmpeg writes reports and picks devices by environment; it gets none of it. */
function quietEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR', 'LD_LIBRARY_PATH'] as const
  return {
    LC_ALL: 'C',
    ...Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
  }
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    if (process.platform === 'win32') child.kill('SIGKILL')
    else process.kill(-child.pid, 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}

/** Gives a program what it reads, piece by piece. That it ended before it had all of it is told by its exit. */
async function feed(stdin: Writable, input: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    await pipeline(Readable.from(input, { highWaterMark: 1 }), stdin)
  } catch (error) {
    if (!earlyEnds.some((code) => isCode(error, code))) throw error
  }
}

const earlyEnds = ['EPIPE', 'ECONNRESET', 'EOF', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']

/** Collects what the program says for people, bounded. */
function listen(child: ChildProcess): () => string {
  let head = ''
  let tail = ''
  child.stderr!.setEncoding('utf8')
  child.stderr!.on('data', (text: string) => {
    if (head.length < headLimit) head += text
    else tail = (tail + text).slice(-tailLimit)
  })
  return () => head + tail
}

/** The same chunks; calls when the next one does not come in time. Time in which nobody asks for it does not count. */
async function* notSilent(output: AsyncIterable<Buffer>, silenceMs: number, onSilence: () => void): AsyncGenerator<Buffer, undefined> {
  const chunks = output[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await withLimit(chunks.next(), silenceMs, onSilence)
      if (next.done) return
      yield next.value
    }
  } finally {
    await chunks.return?.()
  }
}

async function withLimit<T>(work: Promise<T>, ms: number, onLimit: () => void): Promise<T> {
  const timer = setTimeout(onLimit, ms)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}
