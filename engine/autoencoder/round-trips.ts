import type { EngineMethods, RoundTripAnswer } from '#contracts/engine.ts'
import type { ServicesOf } from '#contracts/rpc.ts'
import type { EnginePorts } from '../ports.ts'
import type { NativeRuntime } from '../runtime/native.ts'
import { OnnxAutoencoder, type Autoencoder } from './autoencoder.ts'

type Request = Parameters<ServicesOf<EngineMethods>['engine.roundTrip']>[0]

const keptMs = 60_000

/** Pictures to latents and back, one after the other. The autoencoder stays compiled while somebody looks at picture after picture. */
export class RoundTrips {
  readonly #ports: EnginePorts
  readonly #runtime: () => NativeRuntime
  #kept: { of: string; autoencoder: Autoencoder } | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(ports: EnginePorts, runtime: () => NativeRuntime) {
    this.#ports = ports
    this.#runtime = runtime
  }

  of(request: Request, signal: AbortSignal): Promise<RoundTripAnswer> {
    return this.#inTurn(async () => {
      clearTimeout(this.#timer)
      try {
        signal.throwIfAborted()
        const autoencoder = await this.#open(request)
        const latents = autoencoder.toModel(await autoencoder.encode(request.rgb, { signal }))
        const rgb = await autoencoder.decode(latents, signal)
        return { ...autoencoder.shape, latents: new Uint8Array(latents.buffer), rgb }
      } finally {
        this.#timer = setTimeout(() => void this.#inTurn(async () => this.#forget()), keptMs)
      }
    })
  }

  async #open({ autoencoderFolder, imageSize }: Request): Promise<Autoencoder> {
    const of = `${imageSize} ${autoencoderFolder}`
    if (this.#kept?.of === of) return this.#kept.autoencoder
    this.#forget()
    const autoencoder = await OnnxAutoencoder.open(this.#runtime(), await this.#ports.openAutoencoder(autoencoderFolder), imageSize)
    this.#kept = { of, autoencoder }
    return autoencoder
  }

  #forget(): void {
    this.#kept?.autoencoder[Symbol.dispose]()
    this.#kept = null
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined) // its caller hears of it
    return mine
  }
}
