import { StudioError, toWire } from '#contracts/errors.ts'

/** What the exit codes of the command line mean; printed by `zigma --help`. */
export const exitCodes = {
  done: 0,
  failed: 1,
  badRequest: 2,
  checkFailed: 3,
  cancelled: 130,
} as const

/** Something was compared and found wrong: the command worked, the answer is no. */
export class CheckFailed extends Error {}

/** One place that writes: a JSON document on stdout for machines, sentences on stdout and progress on stderr for people. */
export class Output {
  readonly #json: boolean
  #progressShown = false
  #answered = false

  constructor(json: boolean) {
    this.#json = json
  }

  /** The command's answer. */
  answer(document: unknown, text: string): void {
    this.#clear()
    this.#answered = true
    process.stdout.write(this.#json ? `${JSON.stringify(document, null, 2)}\n` : `${text}\n`)
  }

  /** A line for people while the command runs. */
  line(text: string): void {
    this.#clear()
    ;(this.#json ? process.stderr : process.stdout).write(`${text}\n`)
  }

  /** A line that the next one replaces; shown on terminals only. */
  progress(text: string): void {
    if (!process.stderr.isTTY) return
    this.#clear()
    process.stderr.write(text.slice(0, Math.max(20, process.stderr.columns - 1)))
    this.#progressShown = true
  }

  /** Says what went wrong; a document only where there is none yet. Returns the exit code. */
  fail(error: unknown): number {
    this.#clear()
    if (error instanceof CheckFailed) {
      process.stderr.write(`${error.message}\n`)
      return exitCodes.checkFailed
    }
    const wire = toWire(error)
    if (this.#json && !this.#answered) process.stdout.write(`${JSON.stringify({ error: wire }, null, 2)}\n`)
    process.stderr.write(`${wire.message}\n`)
    if (wire.code === 'internal' && error instanceof Error && process.env.ZIGMA_DEBUG) process.stderr.write(`${error.stack}\n`)
    if (wire.code === 'cancelled') return exitCodes.cancelled
    return error instanceof StudioError &&
      ['invalid-request', 'bad-source', 'not-found', 'already-exists', 'project-locked', 'port-taken'].includes(error.code)
      ? exitCodes.badRequest
      : exitCodes.failed
  }

  #clear(): void {
    if (this.#progressShown) process.stderr.write('\r\u001b[2K')
    this.#progressShown = false
  }
}

/** A size for people, in units of 1024. */
export function sizeText(sizeBytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const unit = Math.min(units.length - 1, sizeBytes > 0 ? Math.floor(Math.log2(sizeBytes) / 10) : 0)
  return `${unit === 0 ? sizeBytes : (sizeBytes / 1024 ** unit).toFixed(1)} ${units[unit]}`
}

export function duration(seconds: number): string {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), Math.floor(seconds % 60)]
  return `${h > 0 ? `${h}:` : ''}${String(m).padStart(2, '0')}:${String(s).padStart(2, '0')}`
}
