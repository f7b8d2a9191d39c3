import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FileCheckpoints } from '#main/store/checkpoint-store.ts'
import { SafeFs, type FaultHook } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** Fails at the n-th operation, in the way given; counts them all. */
function failingAt(n: number, fail: () => number | never): { fault: FaultHook; count: () => number } {
  let seen = 0
  return { fault: () => (++seen === n ? fail() : undefined), count: () => seen }
}
const full = (): never => {
  throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
}
const broken = (): never => {
  throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
}

describe('failing at each operation in turn', () => {
  test.each([
    ['a full disk', full],
    ['a broken disk', broken],
  ])('%s leaves a replaced file as it was or as it should be, and nothing beside it', async (_name, fail) => {
    for (let n = 1, failed = true; failed; n++) {
      const folder = temporaryFolder()
      const path = join(folder, 'state.json')
      writeFileSync(path, 'old')
      failed = await new SafeFs(failingAt(n, fail).fault).writeFile(path, 'new').then(
        () => false,
        () => true,
      )
      expect(['old', 'new']).toContain(readFileSync(path, 'utf8'))
      expect(readdirSync(folder)).toEqual(['state.json'])
      if (!failed) expect(readFileSync(path, 'utf8')).toBe('new')
    }
  })

  test.each([
    ['a full disk', full],
    ['a broken disk', broken],
  ])('%s leaves the earlier checkpoint readable', async (_name, fail) => {
    for (let n = 1, failed = true; failed; n++) {
      const folder = temporaryFolder()
      const files = (step: number) => new Map([['weights.safetensors', new Uint8Array(1000).fill(step)]])
      await new FileCheckpoints(folder, new SafeFs()).write(1, files(1), 1)
      failed = await new FileCheckpoints(folder, new SafeFs(failingAt(n, fail).fault)).write(2, files(2), 1).then(
        () => false,
        () => true,
      )
      const newest = await new FileCheckpoints(folder, new SafeFs()).newest()
      expect(newest?.files.get('weights.safetensors')?.[0]).toBe(newest?.step)
      if (!failed) expect(newest?.step).toBe(2)
    }
  })
})

test('a disk that writes less than it was asked to, without a word, still gets the whole file', async () => {
  const path = join(temporaryFolder(), 'file')
  const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i % 251)
  await new SafeFs((operation, _path, size) => (operation === 'write' ? Math.ceil(size / 3) : undefined)).writeFile(path, bytes)
  expect(new Uint8Array(readFileSync(path))).toEqual(bytes)
})

test('a full disk is named, with the way out', async () => {
  const path = join(temporaryFolder(), 'weights.bin')
  await expect(new SafeFs(failingAt(2, full).fault).writeFile(path, 'x')).rejects.toMatchObject({
    code: 'disk-full',
    message: 'The disk is full: "weights.bin" could not be written. Free some space and go on; nothing was lost.',
  })
})

test('a checkpoint with one changed byte is stepped over for the one before', async () => {
  const folder = temporaryFolder()
  const store = new FileCheckpoints(folder, new SafeFs())
  for (const step of [1, 2]) await store.write(step, new Map([['weights.safetensors', new Uint8Array(100).fill(step)]]), 5)
  const file = join(folder, 'checkpoints', 'step-00000002', 'weights.safetensors')
  const bytes = readFileSync(file)
  bytes[50]! ^= 1
  writeFileSync(file, bytes)
  expect((await store.newest())?.step).toBe(1)
  await expect(store.at(2)).rejects.toMatchObject({
    code: 'corrupt-file',
    message: expect.stringContaining('is not what was written') as string,
  })
})

test('a file is created whole or not at all, whichever operation fails, and never over another', async () => {
  for (let n = 1, failed = true; failed; n++) {
    const folder = temporaryFolder()
    const path = join(folder, 'lock')
    failed = await new SafeFs(failingAt(n, full).fault).createFile(path, 'mine').then(
      () => false,
      () => true,
    )
    expect(readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual(readdirSync(folder).map(() => 'mine'))
    expect(readdirSync(folder).filter((name) => name !== 'lock')).toEqual([])
  }
  const path = join(temporaryFolder(), 'lock')
  const made = await Promise.all(['a', 'b', 'c'].map((text) => new SafeFs().createFile(path, text)))
  expect(made.filter(Boolean)).toHaveLength(1)
  expect(await new SafeFs().createFile(path, 'late')).toBe(false)
  expect(readFileSync(path, 'utf8')).toBe(['a', 'b', 'c'][made.indexOf(true)])
})

test('lines that are added at the same time stand one below the other, in the order of the calls', async () => {
  const path = join(temporaryFolder(), 'lines.jsonl')
  const fs = new SafeFs((operation, _path, sizeBytes) => (operation === 'write' ? Math.ceil(sizeBytes / 3) : undefined))
  const lines = Array.from({ length: 50 }, (_, i) => `line ${i}\n`)
  await Promise.all(lines.map((line) => fs.append(path, line)))
  expect(readFileSync(path, 'utf8')).toBe(lines.join(''))
})
