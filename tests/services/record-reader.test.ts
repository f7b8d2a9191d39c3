import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readRecords, type RecordSource } from '#main/media/video/record-reader.ts'

/** Bytes that count up, so that one out of place is seen. */
const counted = Uint8Array.from({ length: 1_000_003 }, (_, i) => (i * 7 + (i >> 8)) & 255)
const recordBytes = 10_000

/** A child that writes what it is given. */
function echo() {
  const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(counted)
  return child
}

async function all(source: RecordSource): Promise<Buffer> {
  const records: Uint8Array[] = []
  while (await source.next(() => undefined)) {
    records.push(source.record.slice())
    if (records.length % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 2)) // nothing is written over meanwhile
  }
  return Buffer.concat(records)
}

test("a child's output comes in whole records, without what is left over, and the child has ended", async () => {
  const child = echo()
  const source = readRecords(child.stdout, recordBytes)
  expect((await all(source)).equals(counted.subarray(0, 1_000_000))).toBe(true)
  expect(source.ended).toBe(true)
  expect(await source.next(() => undefined)).toBe(false)
  source.close()
  if (child.exitCode === null) await once(child, 'close')
  expect(child.exitCode).toBe(0)
})

test('a stream without a handle of its own gives the same records', async () => {
  const pieces = Array.from({ length: 334 }, (_, i) => Buffer.from(counted.subarray(3000 * i, 3000 * (i + 1))))
  expect((await all(readRecords(Readable.from(pieces), recordBytes))).equals(counted.subarray(0, 1_000_000))).toBe(true)
})

test('a child whose output is closed early ends', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => process.stdout.write(Buffer.alloc(65536)), 1)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const closed = once(child, 'close')
  const source = readRecords(child.stdout, recordBytes)
  expect(await source.next(() => undefined)).toBe(true)
  expect(source.ended).toBe(false)
  source.close()
  await closed
})
