import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readPixels } from '#main/media/dataset-files.ts'
import { importPictures } from '#main/media/import-pictures.ts'
import { measureFocus } from '#main/media/picture-measures.ts'
import { trainingPicture } from '#main/media/picture.ts'
import { squareOf } from '#main/media/training-crop.ts'
import { FileCheckpoints } from '#main/store/checkpoint-store.ts'
import { openDatabase } from '#main/store/database.ts'
import { JobStore } from '#main/store/job-store.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { scene } from '#tests/fixtures/pictures.ts'
import { curatedStudio } from '../support/curated-studio.ts'
import { runAndKill } from '../support/kill.ts'
import { ledgerOf } from '../support/made-ledger.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const kills = process.env.ZIGMA_LONG ? 100 : 12
const timeoutMs = kills * 3000

describe('killed without warning again and again', () => {
  test('the queue has every job that it acknowledged, once, and its index is sound', { timeout: timeoutMs }, async () => {
    const path = join(temporaryFolder(), 'library.db')
    const acknowledged: unknown[] = []
    for (let i = 0; i < kills; i++) {
      acknowledged.push(...(await runAndKill('endless-queue.ts', [path], 20 + Math.random() * 80)))
      const db = openDatabase(path)
      const store = new JobStore(db)
      store.reconcile()
      const ids = new Set<unknown>(store.list().map(({ id }) => id))
      expect(acknowledged.filter((id) => !ids.has(id))).toEqual([])
      expect(store.list().filter(({ state }) => state === 'running')).toEqual([])
      expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
      db.close()
    }
    expect(acknowledged.length).toBeGreaterThan(0)
  })

  test('a run has a readable checkpoint, never older than the last one acknowledged', { timeout: timeoutMs }, async () => {
    const folder = temporaryFolder()
    let last = 0
    for (let i = 0; i < kills; i++) {
      const steps = (await runAndKill('endless-checkpoints.ts', [folder, String(last)], Math.random() * 150)) as number[]
      const acknowledged = Math.max(last, ...steps)
      const newest = await new FileCheckpoints(folder, new SafeFs()).newest()
      expect(newest?.step ?? 0).toBeGreaterThanOrEqual(acknowledged)
      last = newest?.step ?? 0
    }
    expect(last).toBeGreaterThan(1)
  })

  test('a data set has every edit that it acknowledged, whole, and its index says what its files say', { timeout: timeoutMs }, async () => {
    const folder = temporaryFolder()
    const studio = await curatedStudio(ledgerOf(200), { folder })
    const { root } = studio.context.project().folder
    await studio.close()
    let last = -1
    for (let i = 0; i < kills / 3; i++) {
      const done = (await runAndKill('endless-edits.ts', [root, String(last + 1)], Math.random() * 100)) as number[]
      const again = await curatedStudio([], { folder })
      const { index, items, dataset } = again.context.project()
      const { total, items: page } = await index.fresh(() => items.search('edit ', 0, 500))
      expect(total).toBe(200)
      const captions = new Set(page.map(({ caption, tags }) => `${caption} ${tags.join()}`))
      expect(captions.size).toBe(1) // an edit is done to all of its items or to none
      const now = Number(/^edit (\d+) t\1$/.exec([...captions][0]!)?.[1])
      expect(now).toBeGreaterThanOrEqual(Math.max(last, ...done))
      expect(await again.context.project().describeDataset()).toEqual(await dataset.describe())
      last = now
      await again.close()
    }
  })

  test(
    'a data set has every crop that it acknowledged, and every item the pixels of its crop, whole',
    { timeout: 3 * timeoutMs },
    async () => {
      const folder = temporaryFolder()
      const pictures = join(folder, 'pictures')
      mkdirSync(pictures)
      for (let n = 0; n < 7; n++) writeFileSync(join(pictures, `${n}.png`), await scene(n + 1, 48, 32))
      const studio = await curatedStudio([], { folder })
      const { fs, folder: { dataset: datasetFolder, originals } } = studio.context.project() // prettier-ignore
      await importPictures(
        { kind: 'folder', path: pictures },
        { imageSize: 16, background: '#ffffff' },
        {
          datasetFolder,
          originalsFolder: originals,
          fs,
          mayRead: () => true,
          signal: new AbortController().signal,
          onProgress: () => undefined,
        },
      )
      await studio.close()
      let last = 0
      for (let i = 0; i < kills / 3; i++) {
        const done = (await runAndKill('endless-crops.ts', [folder, String(last)], Math.random() * 150)) as { n: number }[]
        last = Math.max(last, ...done.map(({ n }) => n + 1))
        const again = await curatedStudio([], { folder, imageSize: 16 })
        const project = again.context.project()
        project.queue.resume()
        project.cropping.startJob()
        await expect.poll(() => project.cropping.left(), { timeout: 10_000 }).toEqual({ waiting: 0, away: 0 })
        expect(await project.describeDataset()).toEqual(await project.dataset.describe())
        const files = await project.dataset.items()
        for (const { id, shard, slot, pixelHash, crop, source, width, height } of files) {
          const bytes = readFileSync(join(pictures, source))
          const area = squareOf({ width, height, crop, focus: await measureFocus(bytes) })
          const { rgb } = await trainingPicture(bytes, { imageSize: 16, background: '#ffffff', area })
          expect(readPixels(datasetFolder, { shard, slot }, 16)).toEqual(rgb)
          expect([pixelHash, project.crops.pixels(id)?.pixelHash]).toEqual([sha256(rgb), sha256(rgb)])
        }
        const said = files.filter(({ crop }) => crop.kind !== 'center')
        if (last > 2) expect(said.length).toBeGreaterThan(0)
        await again.close()
      }
      expect(last).toBeGreaterThan(0) // how many crops a life lasts for is the machine's affair
    },
  )
})
