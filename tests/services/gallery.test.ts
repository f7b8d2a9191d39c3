import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import type { GalleryTarget } from '#contracts/gallery.ts'
import type { PictureId } from '#contracts/project.ts'
import { openDatabase } from '#main/store/database.ts'
import { GalleryStore } from '#main/store/gallery-store.ts'
import { PictureMarks } from '#main/store/picture-marks.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

const all = { text: '', minRating: 0, pick: null, trashed: false } as const
const idOf = (i: number) => `picture${String(i).padStart(5, '0')}` as PictureId
const some = (...numbers: number[]): GalleryTarget => ({ kind: 'ids', ids: numbers.map(idOf) })
const every = (filter: object = {}, ...except: number[]): GalleryTarget => ({
  kind: 'query',
  filter: { ...all, ...filter },
  except: except.map(idOf),
})

let gallery: GalleryStore
let folder: string

/** Ten pictures, five on each of two days; number 0 is the newest. Even ones are cats. */
beforeEach(async () => {
  folder = temporaryFolder()
  const fs = new SafeFs()
  await fs.folder(join(folder, 'outputs'))
  gallery = new GalleryStore(openDatabase(join(folder, 'library.db')), new PictureMarks(join(folder, 'outputs'), fs))
  gallery.addFound(
    Array.from({ length: 10 }, (_, i) => ({
      file: `outputs/${i}.png`,
      record: {
        ...{ schema: 1, id: idOf(i), jobId: `job${i}`, index: 0, width: 8, height: 8, modelName: 'm', checkpointHash: 'h' },
        createdAt: new Date(2026, 0, i < 5 ? 2 : 1, 12, 0, 59 - i).toISOString(),
        settings: { model: { runId: 'run' as never, step: 1, weights: 'ema' }, prompt: i % 2 ? 'a dog' : 'a cat', negativePrompt: '', seed: i, count: 1, steps: 1, sampler: 'euler', cfgScale: 1 }, // prettier-ignore
      } as const,
    })),
  )
})
const ratings = () => gallery.list({ ...all, offset: 0, limit: 100 }).items.map(({ rating }) => rating)

describe('the gallery', () => {
  test('counts the pictures of each day that a filter finds, the newest day first', () => {
    expect(gallery.days(all)).toEqual([{ day: '2026-01-02', pictures: 5 }, { day: '2026-01-01', pictures: 5 }]) // prettier-ignore
    expect(gallery.days({ ...all, text: 'cat' })).toEqual([{ day: '2026-01-02', pictures: 3 }, { day: '2026-01-01', pictures: 2 }]) // prettier-ignore
  })

  test('knows the place of each picture in its list', () => {
    const { items } = gallery.list({ ...all, text: 'dog', offset: 0, limit: 100 })
    expect(items.map(({ id }) => gallery.place(id, { ...all, text: 'dog' }))).toEqual([0, 1, 2, 3, 4])
    expect(gallery.place(idOf(2), { ...all, text: 'dog' })).toBeNull()
  })

  test('marks all that a filter finds but a few, and says how many it changed', async () => {
    expect(await gallery.mark(every({ text: 'cat' }, 0), { rating: 3 })).toBe(4)
    expect(ratings()).toEqual([0, 0, 3, 0, 3, 0, 3, 0, 3, 0])
    expect(await gallery.mark(every({ text: 'cat' }), { rating: 3 })).toBe(1)
  })

  test('takes changes back one by one, each picture to what it was', async () => {
    await gallery.mark(some(1), { rating: 5 })
    await gallery.mark(every(), { rating: 2 })
    await gallery.mark(every(), { trashed: true })
    expect(gallery.list({ ...all, offset: 0, limit: 10 }).total).toBe(0)
    expect(await gallery.undo()).toBe(10)
    expect(ratings()).toEqual(Array(10).fill(2))
    expect(await gallery.undo()).toBe(10)
    expect(ratings()).toEqual([0, 5, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(await gallery.undo()).toBe(1)
    expect(await gallery.undo()).toBe(0)
    expect(ratings()).toEqual(Array(10).fill(0))
  })

  test('has the same marks after a change was taken back and the index made anew', async () => {
    await gallery.mark(some(1, 2), { rating: 5 })
    await gallery.mark(some(2, 3), { rating: 1, pick: 'pick' })
    await gallery.undo()
    const kept = await new PictureMarks(join(folder, 'outputs'), new SafeFs()).readAll()
    expect([1, 2, 3].map((i) => kept.get(idOf(i))?.rating)).toEqual([5, 5, 0])
    expect(ratings().slice(1, 4)).toEqual([5, 5, 0])
  })
})
