import { fork } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, expect, test } from 'vitest'
import type { TrainRequest } from '#contracts/engine.ts'
import { presets } from '#engine/presets.ts'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { FileCheckpoints } from '#main/store/checkpoint-store.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const trials = process.env.ZIGMA_LONG ? 20 : 3
const steps = 12
const fs = new SafeFs()
const folder = temporaryFolder()
const { recipe: tiny } = presets[0]!
const recipe = {
  ...tiny,
  model: { ...tiny.model, height: 16, width: 16, embedDim: 32, depth: 2, dropPath: 0.1 },
  flip: true,
  batchSize: 3,
  steps,
  checkpointEvery: 2,
  validateEvery: 5,
  samplePrompts: [],
}
let dataset = { datasetFolder: '', snapshot: '' }

beforeAll(async () => {
  const source = join(folder, 'source')
  mkdirSync(source)
  for (let i = 0; i < 7; i++) {
    writeFileSync(
      join(source, `picture of ${i}.png`),
      await sharp({ create: { width: 16, height: 16, channels: 3, background: { r: 30 * i, g: 200 - 20 * i, b: 90 } } })
        .png()
        .toBuffer(),
    )
  }
  const datasetFolder = join(folder, 'dataset')
  await importPictures(
    { kind: 'folder', path: source },
    { imageSize: 16, background: '#ffffff' },
    {
      datasetFolder,
      originalsFolder: join(folder, 'sources'),
      mayRead: () => false,
      fs,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
  )
  dataset = { datasetFolder, snapshot: await new DatasetFiles(datasetFolder, fs).freeze() }
})

/** Trains in a process of its own; `kill` decides on each message whether to kill it. True when it came to its end. */
function trainIn(runFolder: string, kill: (message: unknown) => boolean): Promise<boolean> {
  mkdirSync(runFolder, { recursive: true })
  const request: TrainRequest = { ...dataset, recipe, runFolder }
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, '../support/train-child.ts'), [JSON.stringify(request)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let ended = false
    let complaint = ''
    child.stderr?.on('data', (text: Buffer) => (complaint += text.toString()))
    child.on('message', (message) => {
      ended ||= message === 'ended'
      if (kill(message)) child.kill('SIGKILL')
    })
    child.on('exit', (code, signal) => (code === 0 || signal === 'SIGKILL' ? resolve(ended) : reject(new Error(complaint))))
  })
}

test(
  `training killed at ${trials} random steps and resumed ends with the same bits as training that was never disturbed`,
  { timeout: 120_000 + trials * 20_000 },
  async () => {
    const straight = join(folder, 'straight')
    expect(await trainIn(straight, () => false)).toBe(true)
    const expected = (await new FileCheckpoints(straight, fs).newest())!
    expect(expected.step).toBe(steps)

    for (let trial = 0; trial < trials; trial++) {
      const runFolder = join(folder, `killed-${trial}`)
      const at = 1 + Math.floor(Math.random() * (steps - 1))
      await trainIn(runFolder, (message) => message === at)
      expect(await trainIn(runFolder, () => false)).toBe(true)
      const resumed = (await new FileCheckpoints(runFolder, fs).newest())!
      expect(resumed.step).toBe(steps)
      for (const [name, bytes] of expected.files)
        expect(Buffer.compare(bytes, resumed.files.get(name)!), `${name} after a kill at step ${at}`).toBe(0)
    }
  },
)
