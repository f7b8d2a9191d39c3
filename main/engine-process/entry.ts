import { mkdirSync } from 'node:fs'
import { deviceLostExitCode, engineMethods, type EngineEvents, type EngineMethods } from '#contracts/engine.ts'
import { serve } from '#contracts/rpc.ts'
import { createEngine } from '#engine/index.ts'
import type { EnginePorts } from '#engine/ports.ts'
import { hasCuda, openRuntime, type Device } from '#native-ops/load.ts'
import { openSnapshot } from '../media/dataset-files.ts'
import { openModelFolder } from '../media/model-folder.ts'
import { readAutoencoder } from '../store/autoencoder-shelf.ts'
import { FileCheckpoints } from '../store/checkpoint-store.ts'
import { FeatureCache } from '../store/feature-cache.ts'
import { FileMetrics } from '../store/metrics-log.ts'
import { SafeFs, sha256 } from '../store/safe-fs.ts'
import { parentPort } from '../transport/process-port.ts'

/*
 * The engine's own process: a fault of the device or of the memory takes this process along and not the studio.
 */
const fs = new SafeFs()
const port = parentPort()
/** So long an engine without a device stays for its answers to leave. */
const lastAnswersMs = 250
const publishing: { publish?: EnginePorts['publish'] } = {}

const services = createEngine({
  openRuntime: () => openRuntime({ device: chosenDevice(), ...threadCount() }),
  openDataset: openSnapshot,
  openAutoencoder: readAutoencoder,
  openFeatures: (cacheFolder, group) => FeatureCache.open(cacheFolder, group, fs),
  hash: sha256,
  checkpoints: (runFolder) => new FileCheckpoints(runFolder, fs),
  metrics: (runFolder) => {
    mkdirSync(runFolder, { recursive: true })
    return new FileMetrics(runFolder, fs)
  },
  modelFolder: openModelFolder,
  publish: (name, news) => publishing.publish?.(name, news),
  deviceLost: (sentence) => {
    process.stderr.write(`${sentence}\n`)
    setTimeout(() => process.exit(deviceLostExitCode), lastAnswersMs)
  },
  now: () => performance.now(),
})
const server = serve<EngineMethods, EngineEvents>(port, engineMethods, services)
publishing.publish = (name, news) => server.publish(name, news)
port.onClose(() => process.exit(0))
// Ctrl+C reaches every process of a terminal. The studio decides when this one ends, so that it can write its checkpoint first.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined)

/** `ZIGMA_DEVICE`, where a user sets it; else the GPU where one is ready. A GPU that then fails is told, never quietly replaced by the CPU. */
function chosenDevice(): Device {
  const wanted = process.env.ZIGMA_DEVICE
  return wanted === 'cpu' || wanted === 'cuda' ? wanted : hasCuda() ? 'cuda' : 'cpu'
}

/** `ZIGMA_THREADS`, where a user sets it; results on one machine are the same bits for the same number of threads. */
function threadCount(): { threads?: number } {
  const wanted = Number(process.env.ZIGMA_THREADS)
  return Number.isInteger(wanted) && wanted > 0 ? { threads: wanted } : {}
}
