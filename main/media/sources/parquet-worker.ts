import { parentPort, workerData } from 'node:worker_threads'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { parquetMetadataAsync, parquetReadObjects, parquetSchema, type AsyncBuffer } from 'hyparquet'
import type { ParquetAnswer, ParquetWork } from './parquet.ts'

const rowsAtATime = 10_000
const rowsLimit = 10_000_000
const pageLimitBytes = 256 * 1024 * 1024

/** Only what is announced is unpacked, and no more than the limit. */
const unpacked =
  (unpack: (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array) => (bytes: Uint8Array, length: number) => {
    if (length > pageLimitBytes) throw new RangeError(`a page of ${length} bytes`)
    return unpack(bytes, { maxOutputLength: Math.max(1, length) })
  }
const compressors = { GZIP: unpacked(gunzipSync), BROTLI: unpacked(brotliDecompressSync), ZSTD: unpacked(zstdDecompressSync) }

/** Texts of a cell: all that anyone asks of it. */
function textOf(value: unknown): string | string[] | null {
  if (typeof value === 'string') return value
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : null
}

async function* answers({ bytes, wanted }: ParquetWork): AsyncGenerator<ParquetAnswer> {
  const file: AsyncBuffer = { byteLength: bytes.length, slice: (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer }
  const metadata = await parquetMetadataAsync(file)
  const count = Number(metadata.num_rows)
  if (!(count <= rowsLimit)) throw new RangeError(`${count} rows`)
  const names = parquetSchema(metadata).children.map(({ element }) => element.name)
  const columns = names.filter((name) => wanted.includes(name))
  for (let rowStart = 0; rowStart < count; rowStart += rowsAtATime) {
    const rowEnd = Math.min(count, rowStart + rowsAtATime)
    const rows = await parquetReadObjects({ file, metadata, compressors, columns, rowStart, rowEnd })
    if (rows.length === 0) throw new RangeError(`${count} rows are announced and ${rowStart} are there`)
    yield {
      rows: rows.map((row) => columns.map((name) => [name, textOf(row[name])])),
      others: names.filter((name) => !columns.includes(name)),
    }
  }
}

const work = answers(workerData as ParquetWork)
// One answer for each question, so that no more than one is in memory.
parentPort!.on('message', () => {
  work.next().then(
    ({ value, done }) => parentPort!.postMessage(done ? null : value),
    (error: Error) => parentPort!.postMessage(error.message),
  )
})
