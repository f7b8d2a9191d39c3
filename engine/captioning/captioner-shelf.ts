import type { CaptionModel } from '#contracts/captioning.ts'
import type { CaptionReply, CaptionerSight } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { EnginePorts } from '../ports.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { Blip } from './blip.ts'
import { ForeignFiles } from './foreign-files.ts'
import { Tagger } from './tagger.ts'

/** No picture takes longer to describe. */
const itemLimitMs = 60_000

interface Opened {
  kind: CaptionModel['kind']
  folder: string
  captioner: Tagger | Blip
  sight: CaptionerSight
}

/** The captioning model that is in memory: one at a time, read when it is first asked for. */
export class CaptionerShelf {
  readonly #ports: Pick<EnginePorts, 'modelFolder'>
  readonly #runtime: () => NativeRuntime
  readonly #limitMs: number
  #opened: Opened | null = null
  /** One picture after the other: two at once would take twice the memory and not half the time. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(ports: Pick<EnginePorts, 'modelFolder'>, runtime: () => NativeRuntime, limitMs = itemLimitMs) {
    this.#ports = ports
    this.#runtime = runtime
    this.#limitMs = limitMs
  }

  /** Reads the model anew, as its files are now, and says how it looks at pictures. */
  look(model: CaptionModel): Promise<CaptionerSight> {
    return this.#inTurn(async () => (await this.#open(model)).sight)
  }

  /** @param rgb bytes in the size that `look` told, as base64 */
  caption(model: CaptionModel, rgb: string, signal: AbortSignal): Promise<CaptionReply> {
    return this.#inTurn(async () => {
      const held = this.#opened?.kind === model.kind && this.#opened.folder === model.folder ? this.#opened : null
      const { captioner, sight } = held ?? (await this.#open(model))
      const pixels = Uint8Array.from(atob(rgb), (letter) => letter.charCodeAt(0))
      if (pixels.length !== sight.width * sight.height * 3)
        throw new StudioError(
          'invalid-request',
          `The picture has ${pixels.length} bytes; the model looks at ${sight.width} x ${sight.height} x 3.`,
        )
      const limit = AbortSignal.timeout(this.#limitMs)
      const either = AbortSignal.any([signal, limit])
      try {
        const said =
          captioner instanceof Tagger && model.kind === 'tagger'
            ? await captioner.describe(pixels, model, either)
            : captioner instanceof Blip && model.kind === 'blip'
              ? await captioner.describe(pixels, model, either)
              : { caption: null, tags: [] }
        const nothing = model.kind === 'blip' && said.caption === ''
        return { ...said, failed: nothing ? 'The model said nothing of this picture.' : null }
      } catch (error) {
        signal.throwIfAborted()
        if (limit.aborted) return { caption: null, tags: [], failed: `The model took longer than ${this.#limitMs / 1000} seconds.` }
        throw error
      }
    })
  }

  close(): void {
    this.#turn = this.#turn.then(() => this.#drop())
  }

  async #open(model: CaptionModel): Promise<Opened> {
    this.#drop()
    const { kind, folder } = model
    const files = new ForeignFiles(this.#ports.modelFolder(folder))
    const captioner = kind === 'tagger' ? await Tagger.open(this.#runtime(), files) : await Blip.open(this.#runtime(), files)
    const hash = await hashOf(files.hashes)
    return (this.#opened = { kind, folder, captioner, sight: { ...captioner.sight, hash } })
  }

  #drop(): void {
    this.#opened?.captioner[Symbol.dispose]()
    this.#opened = null
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }
}

async function hashOf(lines: readonly string[]): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode([...lines].sort().join('\n')))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
