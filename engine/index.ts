import type { EngineMethods } from '#contracts/engine.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ServicesOf } from '#contracts/rpc.ts'
import type { NativeRuntime } from './runtime/native.ts'
import { CaptionerShelf } from './captioning/captioner-shelf.ts'
import { inspectAutoencoder } from './autoencoder/autoencoder.ts'
import { RoundTrips } from './autoencoder/round-trips.ts'
import { forecastOf } from './forecast.ts'
import { sample } from './generation/sample.ts'
import type { EnginePorts } from './ports.ts'
import { deviceFault } from './runtime/device-fault.ts'
import { train } from './training/train.ts'

/** The engine: everything it does to the outside goes through its ports. The runtime is opened at the first use, and once. */
export function createEngine(ports: EnginePorts): ServicesOf<EngineMethods> {
  let opened: NativeRuntime | null = null
  const runtime = () => (opened ??= ports.openRuntime())
  const roundTrips = new RoundTrips(ports, runtime)

  const captioners = new CaptionerShelf(ports, runtime)

  return {
    'engine.describe': async () => {
      const native = runtime()
      const { ortVersion, instructionSet, threads } = native
      const gpu = native.describeGpu()
      const set = { avx512: 'AVX-512', avx2: 'AVX2', baseline: 'baseline' }[instructionSet]
      return {
        name: gpu ? `${gpu.name} · CUDA ${gpu.driver}` : `CPU · ${set} · ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
        kind: native.device,
        threads,
        ortVersion,
        instructionSet,
        memoryBytes: gpu ? gpu.totalBytes - gpu.freeBytes : null,
        memoryTotalBytes: gpu?.totalBytes ?? null,
      }
    },
    'engine.forecast': async (recipe) => forecastOf(recipe),
    'engine.train': (request, { signal }) => naming(ports, () => train(ports, runtime(), request, signal)),
    'engine.sample': (request, { signal }) => naming(ports, () => sample(ports, runtime(), request, signal)),
    'engine.openCaptioner': (model) => naming(ports, () => captioners.look(model)),
    'engine.caption': ({ model, rgb }, { signal }) => naming(ports, () => captioners.caption(model, rgb, signal)),
    'engine.closeCaptioner': async () => {
      captioners.close()
      return null
    },
    'engine.inspectAutoencoder': ({ autoencoderFolder }, { signal }) =>
      naming(ports, async () => inspectAutoencoder(runtime(), await ports.openAutoencoder(autoencoderFolder), signal)),
    'engine.roundTrip': (request, { signal }) => naming(ports, () => roundTrips.of(request, signal)),
  }
}

const firstLine = (error: unknown): string => (error as Error).message.split('\n')[0]!.slice(0, 200)

/** Failures of the native side as the studio's own, so that what to do about them is known. */
async function naming<T>(ports: EnginePorts, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof StudioError) throw error
    const fault = deviceFault(error)
    if (fault === 'out-of-memory')
      throw new StudioError('out-of-memory', 'There was not enough memory. Choose a smaller batch or preset and try again.', {
        cause: error,
      })
    if (fault === 'device-lost') {
      const sentence = `The GPU stopped working for this process (${firstLine(error)}). The engine is started again, and the job goes on from its last checkpoint.`
      ports.deviceLost(sentence)
      throw new StudioError('device-lost', sentence, { cause: error })
    }
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'LoadError') throw new StudioError('native-missing', (error as Error).message, { cause: error })
    throw error
  }
}
