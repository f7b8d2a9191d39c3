import { engineMethods } from '#contracts/engine.ts'
import { createEngine } from '#engine/index.ts'
import { openRuntime } from '#native-ops/load.ts'
import { openSnapshot } from '#main/media/dataset-files.ts'
import { openModelFolder } from '#main/media/model-folder.ts'
import { readAutoencoder } from '#main/store/autoencoder-shelf.ts'
import { FileCheckpoints } from '#main/store/checkpoint-store.ts'
import { FeatureCache } from '#main/store/feature-cache.ts'
import { FileMetrics } from '#main/store/metrics-log.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'

/* Trains the request in argv[2] to its end, telling each step. */
const fs = new SafeFs()
const engine = createEngine({
  openRuntime: () => openRuntime({ threads: 2 }),
  openDataset: openSnapshot,
  openAutoencoder: readAutoencoder,
  openFeatures: (cacheFolder, group) => FeatureCache.open(cacheFolder, group, fs),
  hash: sha256,
  checkpoints: (runFolder) => new FileCheckpoints(runFolder, fs),
  metrics: (runFolder) => new FileMetrics(runFolder, fs),
  modelFolder: openModelFolder,
  publish: (name, news) => {
    if (name === 'engine.trained' && 'points' in news) for (const { step } of news.points) process.send?.(step)
  },
  deviceLost: () => undefined,
  now: () => performance.now() * 1000, // every step is told at once
})
process.send?.('started')
await engine['engine.train'](engineMethods['engine.train'].request.parse(JSON.parse(process.argv[2]!)), {
  signal: new AbortController().signal,
})
process.send?.('ended')
process.disconnect?.()
