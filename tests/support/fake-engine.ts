import type { EngineEvents, EngineMethods } from '#contracts/engine.ts'
import { engineMethods } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import { portPair, serve, type Port, type Server, type ServicesOf } from '#contracts/rpc.ts'
import type { EngineLauncher } from '#main/engine-process/client.ts'

export interface FakeEngine {
  launch: EngineLauncher
  /** How often an engine process was started. */
  starts: number
  /** Ends the process in the middle of whatever it does. */
  die(): void
}

/** An engine that "trains" by counting and "draws" plain colors, in this process; `over` replaces single commands. */
export function fakeEngine(
  over: Partial<ServicesOf<EngineMethods>> | ((server: () => Server<EngineEvents>) => Partial<ServicesOf<EngineMethods>>) = {},
): FakeEngine {
  const fake: FakeEngine = { starts: 0, die: () => undefined, launch: () => launch() }
  const launch: EngineLauncher = () => {
    fake.starts++
    const [near, reachable] = portPair()
    let alive = true
    const far: Port = { ...reachable, post: (message) => alive && reachable.post(message) }
    const exits = new Set<(reason: string) => void>()
    let server: Server<EngineEvents> | null = null
    const replaced = typeof over === 'function' ? over(() => server!) : over
    server = serve<EngineMethods, EngineEvents>(far, engineMethods, {
      'engine.describe': () =>
        Promise.resolve({
          name: 'Fake',
          kind: 'cpu',
          threads: 1,
          ortVersion: '0',
          instructionSet: 'none',
          memoryBytes: null,
          memoryTotalBytes: null,
        }),
      'engine.forecast': () => Promise.reject(new StudioError('internal', 'not asked for')),
      'engine.inspectAutoencoder': () =>
        Promise.resolve({ channels: 4, factor: 8, dtype: 'f32', imageSize: null, scalingFactor: 1, shiftFactor: 0 }),
      'engine.roundTrip': ({ rgb }) => Promise.resolve({ channels: 1, height: 1, width: 1, latents: new Uint8Array(4), rgb }),
      'engine.train': ({ recipe }) => Promise.resolve({ step: recipe.steps, loss: 0.5, finished: true }),
      'engine.sample': async ({ runFolder, indices, request }, { signal }) => {
        for (const index of indices) {
          await new Promise((resolve) => setTimeout(resolve, 1))
          signal.throwIfAborted()
          server!.publish('engine.drew', {
            runFolder,
            index,
            seed: request.seed + index,
            step: 1,
            checkpointHash: 'f'.repeat(64),
            width: 8,
            height: 8,
            rgb: new Uint8Array(8 * 8 * 3).fill(index),
          })
        }
        return { checkpointHash: 'f'.repeat(64), step: 1, pictures: indices.length }
      },
      'engine.openCaptioner': () => Promise.reject(new StudioError('internal', 'not asked for')),
      'engine.caption': () => Promise.reject(new StudioError('internal', 'not asked for')),
      'engine.closeCaptioner': () => Promise.resolve(null),
      ...replaced,
    })
    fake.die = () => {
      alive = false
      near.close()
      for (const listener of exits) listener('SIGKILL')
    }
    return { port: near, onExit: (listener) => void exits.add(listener), kill: () => fake.die() }
  }
  return fake
}
