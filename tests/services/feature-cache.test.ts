import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeDataset } from '#engine/encoding/latent-examples.ts'
import type { Autoencoder } from '#engine/autoencoder/autoencoder.ts'
import type { DatasetReader, FeatureGroup } from '#engine/ports.ts'
import { FeatureCache, groupName, recordBytes } from '#main/store/feature-cache.ts'
import { cleanFeatures, surveyFeatures } from '#main/store/feature-cleaner.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'
import { runAndKill } from '../support/kill.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const long = Boolean(process.env.ZIGMA_LONG)
const fs = new SafeFs()
const group: FeatureGroup = { kind: 'latents', encoder: 'e', dtype: 'f32', shape: [1, 2, 2] }
const valueOf = (source: string) => new Uint8Array(Buffer.from(sha256(source), 'hex').subarray(0, 16))
const open = (root: string) => FeatureCache.open(root, group, fs)
const shards = (root: string) => {
  const folder = join(root, groupName(group))
  return readdirSync(folder)
    .filter((name) => name.endsWith('.bin'))
    .sort()
    .map((name) => join(folder, name))
}
async function filled(root: string, sources: readonly string[]): Promise<void> {
  using cache = await open(root)
  for (const source of sources) await cache.write(source, valueOf(source))
  await cache.flush()
}

describe('the cache of what encoders make', () => {
  test('gives back what was written, after a reopening as well, and nothing for what was not', async () => {
    const root = temporaryFolder()
    const sources = ['a', 'b', 'a caption, 一只猫', '']
    await filled(root, sources)
    using cache = await open(root)
    expect(cache.size).toBe(4)
    for (const source of sources) expect(new Uint8Array(cache.read(source)!)).toEqual(valueOf(source))
    expect(cache.has('c')).toBe(false)
    expect(cache.read('c')).toBeNull()
  })

  test('knows nothing of another encoder, another type of numbers or another shape', async () => {
    const root = temporaryFolder()
    await filled(root, ['a'])
    for (const over of [{ encoder: 'other' }, { dtype: 'f16' as const }, { shape: [2, 2, 1] }, { kind: 'text' as const }]) {
      using other = await FeatureCache.open(root, { ...group, ...over }, fs)
      expect(other.has('a')).toBe(false)
    }
  })

  test('drops a record that a crash cut short and nothing before it, whatever byte it ends at', async () => {
    for (let cut = 1; cut < recordBytes(group); cut += 5) {
      const root = temporaryFolder()
      await filled(root, ['a', 'b', 'c'])
      truncateSync(shards(root)[0]!, 3 * recordBytes(group) - cut)
      using cache = await open(root)
      expect([...'abc'].map((source) => cache.has(source))).toEqual([true, true, false])
      await cache.write('c', valueOf('c'))
      await cache.flush()
      using again = await open(root)
      expect(again.size).toBe(3)
      expect(new Uint8Array(again.read('c')!)).toEqual(valueOf('c'))
    }
  })

  test('gives out no damaged record: any one byte changed is found, told, and mended by writing again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(recordBytes(group) - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const root = temporaryFolder()
        await filled(root, ['a', 'b'])
        const path = shards(root)[0]!
        const bytes = new Uint8Array(readFileSync(path))
        bytes[at]! ^= change
        writeFileSync(path, bytes)
        using cache = await open(root)
        expect(cache.read('a')).toBeNull()
        expect(new Uint8Array(cache.read('b')!)).toEqual(valueOf('b'))
        await cache.write('a', valueOf('a'))
        expect(cache.isDamaged('a')).toBe(false)
        expect(new Uint8Array(cache.read('a')!)).toEqual(valueOf('a'))
      }),
      { numRuns: long ? 500 : 25 },
    )
  })

  test('goes on when all of it is deleted under its feet', async () => {
    const root = temporaryFolder()
    using cache = await open(root)
    for (const source of ['a', 'b']) await cache.write(source, valueOf(source))
    await cache.flush()
    rmSync(root, { recursive: true })
    expect(cache.read('a')).toBeNull()
    await cache.write('a', valueOf('a'))
    await cache.flush()
    expect(new Uint8Array(cache.read('a')!)).toEqual(valueOf('a'))
  })

  test('tells of a full disk and has lost nothing of what was written before, wherever the disk fills', async () => {
    for (let allowed = 0; allowed < recordBytes(group); allowed += 7) {
      const root = temporaryFolder()
      await filled(root, ['a'])
      const full = new SafeFs((operation, path, sizeBytes) => {
        if (operation !== 'write' || !path.endsWith('.bin')) return undefined
        if (sizeBytes <= recordBytes(group) - allowed) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
        return Math.max(1, allowed)
      })
      using cache = await FeatureCache.open(root, group, full)
      await cache.write('b', valueOf('b'))
      await expect(cache.flush()).rejects.toMatchObject({ code: 'disk-full' })
      using again = await open(root)
      expect([again.has('a'), again.has('b')]).toEqual([true, false])
      await again.write('b', valueOf('b'))
      await again.flush()
      using last = await open(root)
      expect(['a', 'b'].map((source) => new Uint8Array(last.read(source)!))).toEqual(['a', 'b'].map(valueOf))
    }
  })

  test('cleaned, holds what is wanted and nothing else, whatever was written how often', async () => {
    const source = fc.constantFrom(...'abcdefgh')
    await fc.assert(
      fc.asyncProperty(fc.array(source, { maxLength: 24 }), fc.uniqueArray(source), async (written, wanted) => {
        const root = temporaryFolder()
        await filled(root, [])
        for (const one of written) await filled(root, [one])
        const want = () => wanted
        const before = await surveyFeatures(root, want)
        const live = new Set(written.filter((one) => wanted.includes(one)))
        expect(before[0]).toMatchObject({ entries: written.length, orphans: written.length - live.size }) // one written again is another's orphan
        await cleanFeatures(root, want, fs)
        using cache = await open(root)
        expect([...'abcdefgh'].filter((one) => cache.has(one))).toEqual([...live].sort())
        for (const one of live) expect(new Uint8Array(cache.read(one)!)).toEqual(valueOf(one))
      }),
      { numRuns: long ? 200 : 15 },
    )
  })

  test('deletes folders that are none of its own', async () => {
    const root = temporaryFolder()
    await filled(root, ['a'])
    mkdirSync(join(root, 'old'))
    appendFileSync(join(root, 'old', 'rest'), 'x'.repeat(500))
    expect(await cleanFeatures(root, () => ['a'], fs)).toEqual({ entries: 0, sizeBytes: 500 })
    expect(readdirSync(root)).toEqual([groupName(group)])
  })

  const kills = long ? 100 : 4
  test('killed without warning again and again, has every entry that it acknowledged, whole', { timeout: kills * 4000 }, async () => {
    const root = temporaryFolder()
    let next = 0
    for (let i = 0; i < kills; i++) {
      const done = (await runAndKill('endless-features.ts', [root, String(next)], Math.random() * 120)) as number[]
      const acknowledged = Math.max(next - 1, ...done)
      using cache = await open(root)
      for (let n = 0; n <= acknowledged; n++) expect(new Uint8Array(cache.read(String(n))!)).toEqual(valueOf(String(n)))
      next = acknowledged + 1
    }
    expect(next).toBeGreaterThan(0)
  })
})

/** An encoder that gives the first four bytes of a picture, counts its calls and refuses pictures that begin with 255. */
function countingAutoencoder() {
  const counted = { calls: 0 }
  const autoencoder: Autoencoder = {
    shape: { channels: 1, height: 2, width: 2 },
    factor: 1,
    dtype: 'f32',
    encode: async (rgb, { mirrored = false } = {}) => {
      counted.calls++
      return Float32Array.from(rgb.subarray(0, 4), (x) => (mirrored ? -x : x))
    },
    decode: () => Promise.reject(new Error('not asked for')),
    toModel: (latents) => latents.map((x) => x * 2),
    [Symbol.dispose]: () => undefined,
  }
  return { autoencoder, counted }
}

function dataset(pictures: readonly (readonly [first: number, caption: string])[]): DatasetReader {
  const images = pictures.map(([first]) => Uint8Array.from({ length: 12 }, (_, i) => first + i))
  return {
    size: images.length,
    imageSize: 2,
    ids: images.map((_, i) => `item${i}`),
    captions: pictures.map(([, caption]) => [caption]),
    splits: images.map(() => 'train'),
    repeats: images.map(() => 1),
    pixelHashes: images.map((image) => sha256(image)),
    image: (i) => images[i]!,
    [Symbol.dispose]: () => undefined,
  }
}

describe('encoding a data set', () => {
  const never = new AbortController().signal
  const encode = async (root: string, data: DatasetReader, { mirrored = false, signal = never } = {}) => {
    const { autoencoder, counted } = countingAutoencoder()
    using store = await open(root)
    const done: number[] = []
    const news = { progressed: (progress: { done: number }) => void done.push(progress.done), warned: () => undefined }
    const examples = await encodeDataset({ dataset: data, autoencoder, store, mirrored, hash: sha256, signal, news })
    const out = examples.room(1)
    await examples.read(0, mirrored, out, 0)
    return { calls: counted.calls, out: [...out], done }
  }

  test('calls the encoder once a picture, ever: not for captions, order or a second run, and once for one that changed', async () => {
    const root = temporaryFolder()
    const many = Array.from({ length: 20 }, (_, i) => [i * 3, `caption ${i}`] as const)
    expect(await encode(root, dataset(many))).toMatchObject({ calls: 20, out: [0, 2, 4, 6] })
    expect((await encode(root, dataset(many))).calls).toBe(0)
    expect((await encode(root, dataset(many.map(([first]) => [first, 'another caption'])))).calls).toBe(0)
    expect((await encode(root, dataset(many.toReversed()))).calls).toBe(0)
    expect((await encode(root, dataset(many.with(7, [200, 'caption 7'])))).calls).toBe(1)
    expect(await encode(root, dataset(many), { mirrored: true })).toMatchObject({ calls: 20, out: [-0, -2, -4, -6] })
  })

  test('tells how far it is, and ends where it is asked to with what it has', async () => {
    const root = temporaryFolder()
    const many = Array.from({ length: 5 }, (_, i) => [i, ''] as const)
    const stop = new AbortController()
    stop.abort()
    const first = await encode(root, dataset(many), { signal: stop.signal })
    expect(first).toMatchObject({ calls: 1, done: [0] }) // the one that was read
    expect((await encode(root, dataset(many))).done).toEqual([0, 1, 2, 3, 4, 5])
  })
})
